"""A client of a test's Redis, made as the product makes its own."""

from __future__ import annotations

import redis

from settings import load
from worker import redis_servers


def connect(url: str) -> redis.Redis:
    """A client that repeats nothing by itself and gives up in seconds."""
    return redis_servers.client(load({"REDIS_URL": url}))
