"""`kadencia api`: the HTTP API."""

from __future__ import annotations

from typing import Annotated

import typer

from worker import tracing
from worker.cli import context
from worker.cli.measuring import MetricsPortOption, measure_here
from worker.cli.output import CommandError, Exit


def api(
    host: Annotated[
        str, typer.Option(help="To listen on; TLS is the business of a proxy on this host.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8080,
    webhooks: Annotated[
        bool,
        typer.Option(
            "--webhooks/--no-webhooks", help="Tell webhooks what has happened, beside the API."
        ),
    ] = True,
    metrics_port: MetricsPortOption = None,
) -> None:
    """Let other services enqueue messages and look at them, until Ctrl-C or SIGTERM.

    Any number of them may run, on any hosts.

    Example: kadencia api --host 127.0.0.1 --port 8080
    """
    from worker.api.process import run  # an HTTP server, which no other command needs

    measure_here(context.settings().metrics_host, metrics_port)
    tracing.start(context.settings(), "api")
    try:
        run(context.settings(), host, port, webhooks=webhooks)
    except OSError as error:
        where = f"{host} port {port}"
        raise CommandError(f"cannot listen on {where}: {error.strerror}", Exit.FAILED) from None
