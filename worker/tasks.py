"""Celery tasks: each unpacks its arguments, calls one function, and returns."""

from __future__ import annotations

from uuid import UUID

from settings.names import Task
from worker import broker, recovery, registry, retention
from worker.app import app
from worker.process import here


@app.task(name=Task.SWEEP)
def sweep(task_id: int, sweep_no: int) -> None:
    """Release what an automatic task may send now."""
    here().sweeper.sweep(task_id, sweep_no)


@app.task(name=Task.SEND)
def send(message_id: int, lease: str) -> None:
    """Hand one e-mail over."""
    here().delivery.send(message_id, UUID(lease))


@app.task(name=Task.SEND_SMS)
def send_sms(message_id: int, lease: str) -> None:
    """Hand one SMS over."""
    here().sms.send(message_id, UUID(lease))


@app.task(name=Task.POLL_REPORTS)
def poll_reports(poll_id: int) -> None:
    """Take in the delivery reports of one integration ID."""
    here().poller.poll(poll_id)


@app.task(name=Task.RECOVER)
def recover() -> None:
    """Move on every message that time has overtaken."""
    kit = here().kit
    recovery.recover(kit.engine, kit.throttle, kit.settings)
    registry.forget(kit.engine)


@app.task(name=Task.RETAIN)
def retain() -> None:
    """Drop what is kept no longer."""
    kit = here().kit
    retention.retain(kit.engine, kit.settings)
    if kit.settings.tasks_in_redis:
        broker.clear_queues(kit.throttle.client, registry.known(kit.engine))


@app.task(name=Task.CANARY)
def canary(process: str, part: str) -> None:
    """Show that a part of a `kadencia worker` still takes tasks from its queues."""
    registry.answer_canary(here().kit.engine, UUID(process), part)
