"""A token server (RFC 6749) of a test's own: HTTP over a real socket, and what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs

Behaviour = Callable[[BaseHTTPRequestHandler, dict[str, str]], None]


class TokenServer:
    """Grants `token-1`, `token-2` and so on, or does what it is told instead.

    Attributes:
        url: to be asked.
        asked: the forms that were posted, in order.
        instead: what to do in place of granting; None grants.
        seconds: how long a token is good.
        rotates: give a new refresh token with each access token, and take only the newest.
        refresh: the refresh token that is taken, where one is sent.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.instead: Behaviour | None = None
        self.seconds: object = 3600
        self.rotates = False
        self.refresh = "refresh-0"
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                form = parse_qs(self.rfile.read(length).decode())
                outer._answer(self, {name: values[0] for name, values in form.items()})

            def log_message(self, *_: Any) -> None:
                """Nothing to say."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/tenant/oauth2/v2.0/token"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def __enter__(self) -> TokenServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        with self._lock:
            self.asked.append(form)
            number = len(self.asked)
        if self.instead is not None:
            self.instead(request, form)
            return
        if form.get("refresh_token", self.refresh) != self.refresh:
            reply(400, {"error": "invalid_grant"})(request, form)
            return
        granted = {"access_token": f"token-{number}", "token_type": "Bearer"}
        granted |= {"expires_in": self.seconds} if self.seconds is not None else {}
        if self.rotates:
            self.refresh = f"refresh-{number}"
            granted["refresh_token"] = self.refresh
        reply(200, granted)(request, form)


def reply(status: int, body: object, **headers: str) -> Behaviour:
    """Answer JSON, or text as it is."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    kind = "text/html" if isinstance(body, str) else "application/json"

    def answer(request: BaseHTTPRequestHandler, _form: dict[str, str]) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(content)

    return answer


def drip(stopping: threading.Event) -> Behaviour:
    """Begin an answer, and send a byte of it now and then, for ever."""

    def answer(request: BaseHTTPRequestHandler, _form: dict[str, str]) -> None:
        request.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while not stopping.wait(0.05):
            try:
                request.wfile.write(b" ")
            except OSError:
                return

    return answer


def hang_up(request: BaseHTTPRequestHandler, _form: dict[str, str]) -> None:
    """Close without a word."""
    request.connection.close()
