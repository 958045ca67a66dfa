"""`kadencia metrics`: figures of the whole fleet, for Prometheus."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from worker import logs
from worker.cli import context
from worker.cli.output import CommandError, Exit


def metrics(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 9108,
) -> None:
    """Serve the figures of the whole fleet to Prometheus, until Ctrl-C or SIGTERM.

    One is enough for any number of hosts. It needs the database and Redis, and no worker.

    Example: kadencia metrics --port 9108
    """
    from prometheus_client import CollectorRegistry

    from worker import bootstrap
    from worker.metrics.fleet import Fleet, Looker
    from worker.metrics.serving import serve

    settings = context.settings()
    logs.configure(settings)
    # Not the command's engine: with another schema, or none, the metrics say so.
    engine = bootstrap.make_engine(settings, "metrics")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Fleet(Looker(engine, bootstrap.make_throttle(settings), settings)))
    ends = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ends.set())
    try:
        server, _ = serve(host, port, registry)
    except OSError as error:
        why = f"cannot listen on {host}:{port}: {error.strerror or error}"
        raise CommandError(why, Exit.FAILED) from None
    ends.wait()
    server.shutdown()
