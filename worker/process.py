"""What one process of the fleet works with, made when it is first needed after the fork."""

from __future__ import annotations

import functools
import os
import socket
from dataclasses import dataclass
from typing import Any

import structlog
from celery import signals

from settings.names import Task
from worker import bootstrap, crashpoints, measures, tracing
from worker.app import app
from worker.bootstrap import Kit
from worker.delivery import Delivery
from worker.delivery.sms import SmsDelivery
from worker.measures import CELERY_TASKS
from worker.registry import evidence_name
from worker.sms.polling import Poller
from worker.sweeps import Sweeper


@dataclass(frozen=True, slots=True)
class Process:
    """A process that sweeps or sends for one OAC server."""

    kit: Kit
    sweeper: Sweeper
    delivery: Delivery
    sms: SmsDelivery
    poller: Poller


@functools.cache
def here() -> Process:
    """This process's own; a forked child makes another.

    Raises:
        SettingsError: something that it needs is not set.
    """
    settings = bootstrap.read_settings(os.environ)
    crashpoints.arm(settings.crash_directory)
    if settings.metrics_directory is not None:
        measures.start(settings.metrics_directory)
    tracing.start(settings, "worker")
    server, process = settings.server or "local", settings.process or "alone"
    kit = bootstrap.make_kit(settings, f"worker {server}")
    name = f"{evidence_name(server, socket.gethostname(), process)}{os.getpid()}"
    sending = (kit.engine, kit.throttle, kit.vault, settings, server, name)
    return Process(
        kit=kit,
        sweeper=Sweeper(kit.engine, kit.throttle, settings, server, app.send_task),
        delivery=Delivery(*sending),
        sms=SmsDelivery(*sending),
        poller=Poller(kit.engine, kit.vault, settings),
    )


def _say_good_bye(**_: Any) -> None:
    if here.cache_info().currsize:
        here().delivery.close()
        here().sms.close()
    tracing.stop()


SUBJECTS = {
    Task.SEND: "message",
    Task.SEND_SMS: "message",
    Task.SWEEP: "task",
    Task.POLL_REPORTS: "poll",
}
"""What the first argument of a Celery task is the id of."""


def _begin(task: Any, args: Any, **_: Any) -> None:
    """Every line that is logged from here on says what it is about, Celery's own as well."""
    subject = SUBJECTS.get(task.name)
    if subject is not None and args:
        structlog.contextvars.bind_contextvars(**{subject: args[0]})


def _end(task: Any, state: str | None = None, **_: Any) -> None:
    structlog.contextvars.clear_contextvars()
    CELERY_TASKS.add(name=task.name, outcome="done" if state == "SUCCESS" else "failed")


signals.task_prerun.connect(_begin)
signals.task_postrun.connect(_end)
signals.worker_process_shutdown.connect(_say_good_bye)

# A connection shared by two processes mixes up their answers.
os.register_at_fork(after_in_child=here.cache_clear)
