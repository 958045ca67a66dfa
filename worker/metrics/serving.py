"""Serving metrics over HTTP, from a thread beside a process's own work."""

from __future__ import annotations

import threading
from socketserver import BaseServer

import structlog
from prometheus_client import CollectorRegistry, start_http_server

log = structlog.get_logger()


def serve(host: str, port: int, registry: CollectorRegistry) -> tuple[BaseServer, threading.Thread]:
    """Answer scrapes until `shutdown()` of the server that is returned.

    Args:
        host: an address of this machine.
        port: 0 takes a free one.
        registry: what is told.

    Raises:
        OSError: nobody can listen there.
    """
    server, thread = start_http_server(port, host, registry)
    log.info("metrics", url=f"http://{host}:{server.server_address[1]}/metrics")
    return server, thread
