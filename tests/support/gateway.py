"""An HTTP server that answers exactly what a test tells it to, byte for byte, like no real one.

It plays scripts as `tests.support.scripted_smtp` does: a list of steps for each connection, the
last script for all further ones; a connection closes where its script ends.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from tests.support.scripted_smtp import Peer, ScriptedServer, Step, say
from worker.eurosms import EuroSms, EuroSmsSettings, Sms
from worker.eurosms.wire import Clock

IID, KEY = "2-A2gHjk", "Gh-s7-J6"
UUID = "d0e17e57-f455-430e-844d-ead6f88a18e4"
ENQUEUED = json.dumps({"uuid": [UUID.upper()], "err_code": "ENQUEUED", "err_desc": "Enqueued"})
NOTHING_NEW = '{"dlrs":[],"count":0,"err_code":"OK"}'
SMS = Sms(number="421903622237", own_key="first", sender="RZi", text="Testovacia sprava")


@dataclass(frozen=True, slots=True)
class Request:
    """One request that a server heard."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)


class Gateway(ScriptedServer):
    """A scripted server of HTTP."""

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def requests(self) -> list[Request]:
        """All that was asked so far, as far as it was read; by connection."""
        return [request for peer in self.peers for request in _parsed(peer.heard)]


def client(url: str, *, clock: Clock = time.monotonic, **more: Any) -> EuroSms:
    """A client of a test server, which waits for seconds at most."""
    return EuroSms(settings(url, **more), clock)


def settings(url: str, **more: Any) -> EuroSmsSettings:
    """Those of the account in the gateway's own examples."""
    timeouts = {"connect_timeout": 5.0, "answer_timeout": 5.0}
    return EuroSmsSettings("gateway", IID, KEY, url, **(timeouts | more))


def take(peer: Peer) -> None:
    """Read a whole request."""
    head = peer.until(b"\r\n\r\n")
    if not head:
        raise ConnectionAbortedError
    left = _length(head)
    while left > 0:
        part = peer.until(b"}")  # our bodies end so
        if not part:
            raise ConnectionAbortedError
        left -= len(part)


def take_head(peer: Peer) -> None:
    """Read a request up to its body."""
    peer.until(b"\r\n\r\n")


def take_hello(peer: Peer) -> None:
    """Read the client's first words of TLS."""
    peer.until(b"\x16\x03")


def http(
    body: str | bytes, status: str = "200 OK", length: int | None = None, **headers: str
) -> bytes:
    """An answer as bytes; `length` lies about it."""
    content = body.encode() if isinstance(body, str) else body
    fields = {
        "Content-Type": "application/json",
        "Content-Length": str(len(content) if length is None else length),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


def answering(body: str | bytes = ENQUEUED, **more: Any) -> list[Step]:
    """Read a request and answer it."""
    return [take, say(http(body, **more))]


def reset(peer: Peer) -> None:
    """Break the connection off, without a good-bye."""
    linger = struct.pack("ii", 1, 0)
    peer._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


@contextmanager
def tls_gateway(certificate: str) -> Iterator[str]:
    """A server over TLS that takes every SMS; the URL is yielded."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(http(ENQUEUED))

        def log_message(self, *arguments: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a client that does not trust us
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that a further one is not answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(listener.getsockname())
            yield listener.getsockname()[1]
        finally:
            for one in waiting:
                one.close()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)content-length: (\d+)", head)
    return int(found[1]) if found else 0


def _parsed(heard: bytes) -> Iterator[Request]:
    while b"\r\n\r\n" in heard:
        head, _, rest = heard.partition(b"\r\n\r\n")
        length = _length(head)
        first, *lines = head.decode().split("\r\n")
        method, path, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        yield Request(method, path, headers, rest[:length])
        heard = rest[length:]
