"""Celery tasks: each unpacks its arguments, calls one function, and returns."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery.exceptions import Reject

from models.states import Channel
from settings.names import Task
from worker import broker, intake, recovery, registry, retention
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
    take_in()  # the net under the notifications


@app.task(name=Task.RETAIN)
def retain() -> None:
    """Drop what is kept no longer."""
    kit = here().kit
    retention.retain(kit.engine, kit.settings)
    intake.retain(kit.engine, kit.settings)
    if kit.settings.tasks_in_redis:
        broker.clear_queues(kit.throttle.client, registry.known(kit.engine))


@app.task(name=Task.CANARY)
def canary(process: str, part: str) -> None:
    """Show that a part of a `kadencia worker` still takes tasks from its queues."""
    registry.answer_canary(here().kit.engine, UUID(process), part)


@app.task(name=Task.TAKE_IN)
def take_in() -> None:
    """Make messages of what services handed in by SQL; others get their turn every second."""
    kit = here().kit
    if intake.take_in(kit.engine, kit.settings):
        app.send_task(Task.TAKE_IN)


# The task is the only copy of what it carries. So it is acknowledged once that is stored, takes
# whatever arguments it was given, and shows them to nobody.
HANDED_IN: dict[str, Any] = {
    "acks_late": True,
    "bind": True,
    "Request": "worker.intake.discreet:DiscreetRequest",
    "typing": False,
}


@app.task(name=Task.ENQUEUE_EMAIL, **HANDED_IN)
def enqueue_email(self: Any, *arguments: Any, **keywords: Any) -> None:
    """Take in an e-mail that another application hands in."""
    _hand_in(self, Channel.EMAIL, arguments, keywords)


@app.task(name=Task.ENQUEUE_SMS, **HANDED_IN)
def enqueue_sms(self: Any, *arguments: Any, **keywords: Any) -> None:
    """Take in an SMS that another application hands in."""
    _hand_in(self, Channel.SMS, arguments, keywords)


def _hand_in(task: Any, channel: Channel, arguments: Any, keywords: Any) -> None:
    kit = here().kit
    if intake.hand_in(kit.engine, kit.settings, channel, arguments, keywords, task.request.origin):
        return
    try:
        # Published anew, not requeued: a queue may drop what comes back too often.
        app.send_task(task.name, args=arguments, kwargs=keywords)
    except Exception:
        raise Reject(requeue=True) from None
