"""Serving HTTP in a process of its own: one line that tells where, and a quiet end."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

PROXIES = "127.0.0.1,::1"
"""Whose word is taken on the address of the sender: a reverse proxy's on this host, for TLS."""

KEEP_ALIVE_SECONDS = 75
"""Chosen: proxies keep idle connections for 60 s. Who closes first must be who sends requests, or
one of them meets a closed connection now and then."""


def serve(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    lifespan: bool,
    stop_seconds: int | None,
    proxies: str = PROXIES,
) -> None:
    """Serve an application until SIGTERM or SIGINT.

    Writes a line of JSON once it listens: `{"listening": "127.0.0.1:8096"}`. Addresses are in
    no log: paths and headers may carry secrets.

    Args:
        app: the application.
        host: to listen on; TLS is the business of a reverse proxy on this host.
        port: 0 takes a free one.
        lifespan: whether the application wants to be told of its start and end.
        stop_seconds: what requests under way have to end in; None for all that they want.
        proxies: whose word is taken on the address of the sender, separated by commas.

    Raises:
        OSError: it cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=256) as listener:
        # Inherited by each connection; asyncio sets it only where the protocol is named, and an
        # answer's body would wait 40 ms for the acknowledgement of its header.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on" if lifespan else "off",
            proxy_headers=True,
            forwarded_allow_ips=proxies,
            timeout_graceful_shutdown=stop_seconds,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            ws="none",
        )
        there, at = listener.getsockname()[:2]
        sys.stdout.write(json.dumps({"listening": f"{there}:{at}"}) + "\n")
        sys.stdout.flush()
        _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends with a return, not with the signal that ended it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        ours = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.handle_exit) for number in ours}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
