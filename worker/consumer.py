"""How a worker takes tasks: Celery's consumer, which refuses what is not ours without a word of it.

Celery would write the whole body of a message that it refuses into the log, and with it
addresses and texts.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

import redis
import structlog
from celery import signals
from celery.worker.consumer import consumer

from worker import bootstrap, broker, redis_servers

log = structlog.get_logger()

DELAYED = "celery.worker.consumer.delayed_delivery:DelayedDelivery"
"""28 queues on RabbitMQ for tasks with a countdown, of which there are none."""


class Consumer(consumer.Consumer):
    """Takes tasks; what it refuses is logged, counted and gone."""

    class Blueprint(consumer.Consumer.Blueprint):
        """Celery's steps, but for the one that serves delayed tasks."""

        default_steps: ClassVar = [
            s for s in consumer.Consumer.Blueprint.default_steps if s != DELAYED
        ]

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A body that cannot be read, or whose signature is not that of its certificate."""
        self._refuse(message, "unreadable or wrongly signed", exc)

    def on_invalid_task(self, _body: Any, message: Any, exc: Exception) -> None:
        """A content type that is not accepted, or arguments that are none."""
        self._refuse(message, "not accepted", exc)

    def on_unknown_task(self, _body: Any, message: Any, exc: Exception) -> None:
        """A task of a name that this version does not know."""
        self._refuse(message, "no such task", exc)

    def on_unknown_message(self, _body: Any, message: Any) -> None:
        """Something that is no task at all."""
        self._refuse(message, "no task", None)

    def _refuse(self, message: Any, why: str, error: Exception | None) -> None:
        kind = type(error).__name__ if error else ""
        log.error("a message was refused", why=why, error=kind, content_type=message.content_type)
        message.reject_log_error(consumer.logger, self.connection_errors)
        signals.task_rejected.send(sender=self, message=message, exc=error)
        _count(why)


def _count(why: str) -> None:
    """Remember for the doctor that a message was refused; without Redis the log says it."""
    client = redis_servers.client(bootstrap.read_settings(os.environ))
    try:
        broker.count_refusal(client, why)
    except redis.RedisError as error:
        log.warning("a refusal was not counted", error=type(error).__name__)
    finally:
        client.close()
