"""`kadencia worker` and `kadencia beat`: the processes of a fleet."""

from __future__ import annotations

import os
import signal
import sys
from enum import StrEnum
from typing import Annotated

import typer

from settings import Settings
from settings.names import SERVER_NAME
from worker import logs
from worker.cli import context
from worker.cli.measuring import MetricsPortOption, measure_here, measured_processes
from worker.cli.output import CommandError


class Queue(StrEnum):
    """Of what a worker takes tasks."""

    EMAIL = "email"
    EUROSMS = "eurosms"


def worker(
    server: Annotated[str, typer.Option(help="The OAC server whose messages it sends.")],
    queues: Annotated[
        str, typer.Option(help="What it sends: email, eurosms, or both with a comma between.")
    ] = "email,eurosms",
    processes: Annotated[
        int, typer.Option(min=1, max=200, help="How many e-mails it sends at once.")
    ] = 4,
    sms_processes: Annotated[
        int, typer.Option(min=1, max=200, help="How many SMS, and polls for reports, at once.")
    ] = 2,
    metrics_port: MetricsPortOption = None,
) -> None:
    """Sweep and send for an OAC server, until Ctrl-C or SIGTERM.

    Any number of them may run for the same server, on any hosts.

    Example: kadencia worker --server bratislava --queues email --processes 8
    """
    from worker.app import app
    from worker.fleet import worker as fleet

    if not SERVER_NAME.fullmatch(server):
        raise CommandError(
            f"{server!r} cannot name an OAC server; use small letters, digits and hyphens, "
            f"a letter first, at most 31 of them"
        )
    taken = check_queues(queues)
    settings = context.settings()
    logs.configure(settings)
    worker = fleet.this_process(
        server,
        processes if Queue.EMAIL in taken else 0,
        sms_processes if Queue.EUROSMS in taken else 0,
    )
    port = settings.metrics_port if metrics_port is None else metrics_port
    with measured_processes(settings.metrics_host, port) as measuring:
        code = fleet.run(
            settings,
            context.engine(),
            worker,
            environment=_environment(settings) | measuring,
            out=sys.stdout,
            publish=app.send_task,
        )
    raise typer.Exit(code)


def _environment(settings: Settings) -> dict[str, str]:
    """What the processes of a worker see: what we saw, and where the servers are."""
    return {
        **os.environ,
        "DATABASE_URL": settings.require_database_url(),
        "REDIS_URL": settings.require_redis_url(),
        "KADENCIA_DATA": str(settings.data),
    }


def check_queues(given: str) -> set[str]:
    """The queues that are named.

    Raises:
        CommandError: one is none.
    """
    names = {name.strip() for name in given.split(",")}
    wrong = sorted(names - set(Queue))
    if wrong:
        raise CommandError(f"{wrong[0]!r} is no queue; give {' or '.join(Queue)}, or both")
    return names


def beat(metrics_port: MetricsPortOption = None) -> None:
    """Enqueue the sweeps of automatic tasks that are due, and the periodic work.

    Run it once, twice or more often: any number shares the work, and none leads.

    Example: kadencia beat
    """
    from celery.beat import Service

    from worker.app import app

    settings = context.settings()
    logs.configure(settings)
    context.engine().dispose()  # the schema was checked; beat has an engine of its own
    measure_here(settings.metrics_host, metrics_port)
    service = Service(app, scheduler_cls="worker.beat:Scheduler")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.start()
