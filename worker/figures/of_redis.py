"""Figures out of Redis: the throttle's log, and how many tasks wait for whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from settings.names import CONTROL_QUEUE, server_queues
from worker.figures import catalogue as of
from worker.figures.catalogue import Point
from worker.figures.of_database import Seen
from worker.throttle import LogLost, Throttle


def of_redis(throttle: Throttle, seen: Seen, *, tasks_in_redis: bool) -> list[Point]:
    """All figures out of Redis.

    Args:
        throttle: the fleet's.
        seen: automatic tasks and OAC servers, as the database has them.
        tasks_in_redis: whether Redis carries the tasks, and not RabbitMQ.

    Raises:
        ThrottleUnavailable: no answer.
        redis.RedisError: no answer.
    """
    points = list(_throttle(throttle, seen))
    if tasks_in_redis:
        points.extend(_queues(throttle, seen.servers))
    return points


def _throttle(throttle: Throttle, seen: Seen) -> Iterator[Point]:
    whole = throttle.is_whole(seen.generation)
    yield Point(of.THROTTLE_OPEN, whole)
    for task in seen.tasks if whole else ():
        try:
            look = throttle.look(
                task_id=task.task_id,
                account_id=task.account_id,
                domain_limit=None,
                generation=seen.generation,
            )
        except LogLost:  # between the two
            return
        yield Point(of.USED, look.task_used, (str(task.task_id),))


def _queues(throttle: Throttle, servers: tuple[str, ...]) -> Iterator[Point]:
    names = [CONTROL_QUEUE, *(name for server in servers for name in server_queues(server))]
    pipe = throttle.client.pipeline(transaction=False)
    for name in names:
        pipe.llen(name)
    for name, length in zip(names, pipe.execute(), strict=True):
        yield Point(of.QUEUE, cast(int, length), (name,))
