"""`kadencia worker`: the processes of one host that sweep and send for an OAC server."""

from __future__ import annotations

import os
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib.metadata import version
from typing import Any, TextIO

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from settings import Settings
from settings.names import (
    CONTROL_QUEUE,
    ENQUEUE_QUEUE,
    INTAKE_QUEUE,
    eurosms_first_queue,
    eurosms_queue,
    eurosms_reports_queue,
    first_queue,
    own_queue,
    send_queue,
    sweep_queue,
)
from worker import db, registry
from worker.embedded.processes import ProcessSpec
from worker.fleet import supervisor
from worker.fleet.canaries import Canaries
from worker.outbox import overdue
from worker.registry import WorkerProcess
from worker.watchdog import watchdog

log = structlog.get_logger()

CELERY = (sys.executable, "-P", "-m", "celery", "-q", "-A", "worker.app", "worker")
"""-P: a directory `worker` where the command was typed must not be taken for ours."""
QUIET = ("--without-gossip", "--without-mingle")
"""They cost connections, and a second at each start, and nothing here uses them."""
# Celery's warning of pickled tasks under root: ours are JSON.
WARNINGS = {"PYTHONWARNINGS": "ignore:You're running the worker with superuser"}
GRACE_SECONDS = 30.0
"""Chosen: beyond the longest hand-over, until a process that does not end is killed."""


def _queues(server: str) -> dict[str, list[str]]:
    """What each part takes tasks from, in this order, behind its own queue.

    Canaries come first there: behind a backlog they would starve, and the busiest worker pass for
    deaf. So would the polls for delivery reports.
    """
    return {
        "send": [first_queue(server), send_queue(server)],
        "eurosms": [
            eurosms_first_queue(server),
            eurosms_reports_queue(server),
            eurosms_queue(server),
        ],
        "control": [sweep_queue(server), CONTROL_QUEUE, INTAKE_QUEUE, ENQUEUE_QUEUE],
    }


def specs(
    settings: Settings, worker: WorkerProcess, environment: Mapping[str, str]
) -> list[ProcessSpec]:
    """The Celery workers of one `kadencia worker`, in the order in which they start.

    SMS have processes of their own, so that neither they nor e-mails wait behind the others.

    Args:
        settings: deadlines.
        worker: which one; its slots are the sending processes.
        environment: of the processes.
    """
    name, server = str(worker.id), worker.server
    # Disabled prefetch serves the prefork pool on Redis only; a control process takes one at a
    # time anyway.
    ahead = ("--disable-prefetch",) if settings.tasks_in_redis else ()
    pools: dict[str, tuple[str, ...]] = {
        "send": ("-P", "prefork", "-c", str(worker.slots), *ahead),
        "eurosms": ("-P", "prefork", "-c", str(worker.sms_slots), *ahead),
        "control": ("-P", "solo"),
    }
    # Stopped in reverse: first no more is released, then what is being sent is finished.
    longest = settings.handover_max_seconds + GRACE_SECONDS
    patience = {"send": longest, "eurosms": longest, "control": GRACE_SECONDS}
    return [
        ProcessSpec(
            name=part,
            argv=(
                *CELERY,
                *("-n", f"{part}.{server}.{name[:8]}@%h"),
                *("-Q", ",".join([own_queue(name, part), *_queues(server)[part]])),
                *pools[part],
                *QUIET,
            ),
            env=environment,
            stop_seconds=patience[part],
        )
        for part in reversed(worker.parts)
    ]


def this_process(server: str, processes: int, sms_processes: int) -> WorkerProcess:
    """This process as a `kadencia worker` of an OAC server, with so many that send."""
    return WorkerProcess(
        id=uuid.uuid4(),
        server=server,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=version("kadencia"),
        slots=processes,
        sms_slots=sms_processes,
    )


def run(
    settings: Settings,
    engine: Engine,
    worker: WorkerProcess,
    *,
    environment: Mapping[str, str],
    out: TextIO,
    publish: Callable[..., Any],
) -> int:
    """Sweep and send for an OAC server until SIGTERM or SIGINT, then drain.

    What is being sent is finished and settled; what was released and not begun goes back, if
    no other process of the server is there to send it. One of its parts that takes no
    tasks any more is noticed within a minute, ended gently and started again.

    Returns:
        The exit code: 0 after an ordered stop.
    """
    # Only this process speaks with systemd; its children would confuse it.
    inherited = {name: value for name, value in environment.items() if name != "NOTIFY_SOCKET"}
    named = {"KADENCIA_SERVER": worker.server, "KADENCIA_PROCESS": str(worker.id)}
    alive = watchdog(environment.get("NOTIFY_SOCKET"), settings.alive_file)
    ends = threading.Event()
    heart = threading.Thread(
        target=_beat, args=(engine, worker, settings.heartbeat_seconds, ends), daemon=True
    )
    heart.start()
    try:
        code = supervisor.run(
            specs(settings, worker, {**WARNINGS, **inherited, **named}),
            log_format=settings.log_format,
            out=out,
            on_running=lambda renew: Canaries(engine, worker, publish, renew, alive, ends).start(),
        )
    finally:
        ends.set()
        heart.join(timeout=settings.heartbeat_seconds + 10)
        _leave(engine, worker, timedelta(seconds=settings.silent_after_seconds))
    return code


def _beat(engine: Engine, worker: WorkerProcess, seconds: float, ends: threading.Event) -> None:
    while True:
        try:
            registry.beat(engine, worker)
            _bury(engine, worker)
        except SQLAlchemyError as error:
            log.warning("no heartbeat", error=type(error).__name__)
        if ends.wait(seconds):
            return


def _bury(engine: Engine, worker: WorkerProcess) -> None:
    """What our dead sending processes had in hand need not wait for its deadline."""
    with db.transaction(engine) as connection:
        ended = overdue.end_of_dead(connection, worker.evidence, is_dead)
    if ended:
        log.warning("a sending process died in mid-dialogue", messages=ended)


def is_dead(name: str) -> bool:
    """Whether one of our own sending processes is no more, by its number at the name's end."""
    try:
        os.kill(int(name.rpartition("/")[2]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, ValueError):
        return False
    return False


def _leave(engine: Engine, worker: WorkerProcess, silent_after: timedelta) -> None:
    try:
        returned = registry.leave(engine, worker, silent_after)
    except SQLAlchemyError as error:
        # It is silent from now on, and `recover` brings back what it leaves behind.
        log.warning("left without signing off", error=type(error).__name__)
    else:
        log.info("left", server=worker.server, returned=returned)
