"""What carries the tasks: how RabbitMQ's queues are declared, and what is in them or left over."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import redis
from amqp.exceptions import AMQPError
from celery.app import amqp
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError

from settings import Settings
from settings.celery import broker_config
from settings.names import OWN_QUEUES

REPLY_QUEUES = "*.reply.celery.pidbox"
"""Answers to `inspect`, kept for a caller that has died: Celery gives them no expiry."""
IDLE_SECONDS = 900
"""Chosen: nobody waits a quarter of an hour for an answer."""

CONNECT_SECONDS = 5
CONFIRM_SECONDS = 10
"""Chosen: a quorum of RabbitMQ's nodes answers in milliseconds, or is not there."""
OWN_QUEUE_MS = 3_600_000
"""Chosen: RabbitMQ deletes the own queue of a process that has been away for so long."""
QUORUM = {"x-queue-type": "quorum"}
OWN = {"x-expires": OWN_QUEUE_MS}

REFUSED = "kadencia:refused"
REFUSED_SECONDS = 7 * 86_400
"""Chosen: a week after the last refusal they are forgotten."""


class Unreachable(Exception):
    """RabbitMQ gave no answer."""


class Queues(amqp.Queues):
    """Queues that are declared where they are first named."""

    def new_missing(self, name: str) -> Queue:
        """A quorum queue bound to nothing: tasks are addressed to queues by their names.

        The own queues of processes are plain ones that go by themselves.
        """
        arguments = OWN if name.startswith(OWN_QUEUES) else QUORUM
        return Queue(name, Exchange(""), name, queue_arguments=arguments)


class Discreet(Connection):
    """A connection of which no password is told."""

    def info(self) -> dict[str, Any]:
        """What a worker tells of its broker, less the password, which Celery takes out itself.

        The addresses of the other Sentinels hold it too.
        """
        told: dict[str, Any] = super().info()
        return {**told, "alternates": []}


class Amqp(amqp.AMQP):
    """Celery's way to publish and to name queues, made fit for RabbitMQ."""

    Connection = Discreet

    def Queues(self, queues: Any, *args: Any, **options: Any) -> amqp.Queues:
        """What Celery makes for Redis; quorum queues on RabbitMQ."""
        if not self.app.conf.broker_url.startswith("amqp"):
            return super().Queues(queues, *args, **options)
        return Queues(queues)

    @functools.cached_property
    def send_task_message(self) -> Callable[..., Any]:
        """Publishes one task, and on RabbitMQ waits for the confirmation for a bounded time."""
        return functools.partial(self._create_task_sender(), confirm_timeout=CONFIRM_SECONDS)


def lengths(settings: Settings, client: redis.Redis, names: Iterable[str]) -> dict[str, int]:
    """How many tasks lie in each queue; one that does not exist holds none.

    Args:
        settings: say where the queues are.
        client: of Redis.
        names: the queues.

    Raises:
        Unreachable: RabbitMQ gave no answer.
        redis.RedisError: Redis gave none.
    """
    if not settings.tasks_in_redis:
        return _lengths_in_rabbitmq(settings, names)
    return {name: cast(int, client.llen(name)) for name in names}


def server_version(settings: Settings) -> str:
    """RabbitMQ's name and version, after a log-in.

    Raises:
        Unreachable: it gave no answer.
    """
    with _connected(settings) as connection:
        found = connection.connection.server_properties
        return f"{found.get('product', 'AMQP')} {found.get('version', '')}".strip()


def _lengths_in_rabbitmq(settings: Settings, names: Iterable[str]) -> dict[str, int]:
    found = {}
    with _connected(settings) as connection:
        for name in names:
            try:
                channel = connection.channel()
                found[name] = channel.queue_declare(name, passive=True).message_count
                channel.close()
            except connection.channel_errors:  # there is no such queue
                found[name] = 0
    return found


@contextmanager
def _connected(settings: Settings) -> Iterator[Connection]:
    config = broker_config(settings)
    connection = Connection(
        config["broker_url"],
        ssl=config["broker_use_ssl"],
        transport_options=config["broker_transport_options"],
        connect_timeout=CONNECT_SECONDS,
    )
    try:
        connection.connect()
        yield connection
    except (OSError, KombuError, AMQPError) as error:
        # The type only: a text may hold the address.
        raise Unreachable(f"RabbitMQ gave no answer ({type(error).__name__})") from None
    finally:
        connection.release()


def count_refusal(client: redis.Redis, why: str) -> None:
    """Remember that a worker refused a message.

    Raises:
        redis.RedisError: Redis gave no answer.
    """
    pipe = client.pipeline()
    pipe.hincrby(REFUSED, why, 1)
    pipe.expire(REFUSED, REFUSED_SECONDS)
    pipe.execute()


def refusals(client: redis.Redis) -> dict[str, int]:
    """How many messages workers refused lately, by the reason.

    Raises:
        redis.RedisError: Redis gave no answer.
    """
    found = cast("dict[str, str]", client.hgetall(REFUSED))
    return {why: int(number) for why, number in found.items()}


def clear_queues(client: redis.Redis, processes: Collection[str]) -> int:
    """Delete the own queues of processes that are no more, and replies that nobody fetched.

    RabbitMQ does both by itself.

    Args:
        client: of the broker's Redis.
        processes: ids of those that are known.

    Returns:
        How many keys were deleted.
    """
    left = [key for key in client.scan_iter(f"{OWN_QUEUES}*") if _process(key) not in processes]
    left += [key for key in client.scan_iter(REPLY_QUEUES) if _idle(client, key) > IDLE_SECONDS]
    return cast(int, client.delete(*left)) if left else 0


def _process(key: str) -> str:
    return key.removeprefix(OWN_QUEUES).partition(".")[0]


def _idle(client: redis.Redis, key: str) -> int:
    seconds = cast("int | None", client.object("idletime", key))
    return seconds or 0
