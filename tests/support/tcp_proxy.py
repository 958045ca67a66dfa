"""A way to PostgreSQL that can be cut at a chosen moment, from the client's side."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from types import TracebackType

from sqlalchemy import make_url

COMMIT = b"COMMIT"


class Proxy:
    """Forwards connections to a database; a commit may be cut off before or after it goes out.

    Attributes:
        url: the database's address by way of the proxy.
        cuts: how many commits were cut off.
    """

    def __init__(self, database_url: str) -> None:
        url = make_url(database_url)
        assert url.host is not None
        assert url.port is not None
        self._server = (url.host, url.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        self.cuts = 0
        self._commits_until_cut = 0
        self._forward_cut_commit = False
        self._closed = False
        self._ended = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self.close()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def cut_at_commit(self, number: int, *, forward: bool) -> None:
        """Cut all connections at the n-th commit from now.

        Args:
            number: 1 for the next.
            forward: let the commit reach the server; only its answer is lost.
        """
        self._commits_until_cut, self._forward_cut_commit = number, forward

    def close(self) -> None:
        """Cut all connections, and refuse new ones until `open`."""
        self._closed = True
        self._cut()

    def open(self) -> None:
        """Let connections through again."""
        self._closed = False

    def _cut(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._closed:
                client.close()
                continue
            server = socket.create_connection(self._server)
            with self._lock:
                self._pairs.append((client, server))
            self._threads.append(threading.Thread(target=self._serve, args=(client, server)))
            self._threads[-1].start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, suppress(OSError):
            while True:
                for end in select.select([client, server], [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    if end is server:
                        client.sendall(data)
                    elif not self._passes(data, server):
                        return

    def _passes(self, data: bytes, server: socket.socket) -> bool:
        """Forward what the client said, unless the moment has come to cut."""
        is_cut = COMMIT in data and self._is_to_cut()
        if not is_cut or self._forward_cut_commit:
            server.sendall(data)
        if is_cut:
            self.cuts += 1
            self._cut()
        return not is_cut

    def _is_to_cut(self) -> bool:
        if self._commits_until_cut:
            self._commits_until_cut -= 1
            return not self._commits_until_cut
        return False
