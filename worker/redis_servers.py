"""Clients of Redis, made from settings: one server, TLS, an ACL user, or Sentinel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from settings import Settings
from settings.client_options import redis_tls, sentinel_options

if TYPE_CHECKING:
    from limits.storage import Storage

CONNECT_SECONDS = 3
ANSWER_SECONDS = 5


def client(settings: Settings) -> redis.Redis:
    """A client that never repeats a command by itself and gives up in seconds.

    redis-py repeats by default; a repeated script would be harmless, one repeated after
    our own time-out would not be. With Sentinel each new connection leads to the master
    that is in force then.

    Raises:
        SettingsError: no address is set, or a file that it needs cannot be read.
    """
    address = settings.redis
    common: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "username": address.username or None,
        "password": address.password or None,
        "db": address.database,
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
        "decode_responses": True,
        "ssl": address.tls,
        **redis_tls(settings),
    }
    if not address.master:
        host, port = address.hosts[0]
        return redis.Redis(host=host, port=port, **common)
    sentinels = sentinel(settings, **common)
    return cast(redis.Redis, sentinels.master_for(address.master))  # type: ignore[no-untyped-call]


def sentinel(settings: Settings, **of_servers: Any) -> Sentinel:
    """The Sentinels, who say which server is the master.

    Args:
        settings: with their addresses.
        of_servers: how a client that they lead to a server is made.

    Raises:
        SettingsError: no address is set, or a file that it needs cannot be read.
    """
    options = sentinel_options(settings)
    return Sentinel(  # type: ignore[no-untyped-call]
        settings.redis.hosts, sentinel_kwargs=options, **of_servers
    )


def limits_storage(settings: Settings) -> Storage:
    """Where `limits` counts log-ins and calls of the API: the same Redis, in the same way.

    Raises:
        SettingsError: no address is set, or a file that it needs cannot be read.
    """
    from limits.storage import RedisStorage  # only who guards a door needs it

    pool = client(settings).connection_pool
    # The address is only the kind of storage: the pool knows where.
    return RedisStorage("redis://", connection_pool=pool, wrap_exceptions=True)
