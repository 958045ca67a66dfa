"""A receiver of webhooks: a real HTTP server that notes what it is told and answers as ordered.

It verifies signatures by code of its own, from the text of the standard.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behave = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """One POST."""

    path: str
    headers: Mapping[str, str]
    octets: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.octets)

    def is_signed_with(self, secret: str) -> bool:
        """Whether one of its signatures is right."""
        key = base64.b64decode(secret.split("_", 1)[1])
        signed = b".".join(
            [
                self.headers["webhook-id"].encode(),
                self.headers["webhook-timestamp"].encode(),
                self.octets,
            ]
        )
        right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return f"v1,{right}" in self.headers["webhook-signature"].split(" ")


def answer(status: int, **headers: str) -> Behave:
    """Answer each POST with a status and no body."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return behave


@dataclass
class Receiver:
    """A running receiver.

    Attributes:
        port: on 127.0.0.1.
        heard: each POST, before it is answered.
        behave: how it answers; may be changed at any time.
        release: set at the end, for answers that wait.
        at_once: the most POSTs that were under way together.
    """

    behave: Behave = field(default_factory=lambda: answer(204))
    port: int = 0
    heard: list[Heard] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    at_once: int = 0
    under_way: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/stav"

    @property
    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.heard]

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Never answer, until the test is over."""
        self.release.wait(30)
        answer(204)(handler)

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        octets = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self.guard:
            self.under_way += 1
            self.at_once = max(self.at_once, self.under_way)
            names = {name.lower(): value for name, value in handler.headers.items()}
            self.heard.append(Heard(handler.path, names, octets))
        try:
            self.behave(handler)
        except OSError:
            pass  # the courier has hung up
        finally:
            with self.guard:
                self.under_way -= 1


@contextmanager
def receiver(behave: Behave | None = None, tls: Any = None) -> Iterator[Receiver]:
    """A receiver on a free port; with `tls`, an `ssl.SSLContext`, by https."""
    made = Receiver() if behave is None else Receiver(behave)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.take(self)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.release.set()
            server.shutdown()
            thread.join()
