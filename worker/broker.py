"""What Celery leaves behind in Redis, and nobody else clears away."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import redis

from settings.names import OWN_QUEUES

REPLY_QUEUES = "*.reply.celery.pidbox"
"""Answers to `inspect`, kept for a caller that has died: Celery gives them no expiry."""
IDLE_SECONDS = 900
"""Chosen: nobody waits a quarter of an hour for an answer."""


def clear_queues(client: redis.Redis, processes: Collection[str]) -> int:
    """Delete the own queues of processes that are no more, and replies that nobody fetched.

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
