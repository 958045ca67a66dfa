"""Where Redis is: one server, or the master that Sentinels name."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

REDIS_PORT = 6379
SENTINEL_PORT = 26379

EXAMPLES = (
    "redis://user:password@host:6379/0, rediss://… for TLS, or "
    "redis+sentinel://user:password@host1:26379,host2:26379/master-name/0"
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """One Redis, as every part of the product reaches it.

    Attributes:
        hosts: name and port of the server, or of each Sentinel.
        master: how the Sentinels call the master; "" where there are none.
        tls: whether servers and Sentinels are spoken to over TLS.
        username: of an ACL user; "" for the default one.
        password: "" for none.
        database: its number.
    """

    hosts: tuple[tuple[str, int], ...]
    master: str = ""
    tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    database: int = 0


def redis_address(url: str) -> RedisAddress:
    """Read an address.

    Raises:
        ValueError: it is none; the text says what is wrong and never repeats the address.

    >>> redis_address("rediss://kadencia:tajne@cache.example/2")
    RedisAddress(hosts=(('cache.example', 6379),), master='', tls=True, username='kadencia', \
database=2)
    >>> redis_address("redis+sentinel://:tajne@s1.example,s2.example:5000/hlavny").hosts
    (('s1.example', 26379), ('s2.example', 5000))
    """
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if scheme not in ("redis", "rediss") or kind not in ("", "sentinel"):
        raise ValueError(f"it must begin as one of {EXAMPLES}")
    if parts.query or parts.fragment:
        raise ValueError("nothing may follow a ? or #; variables of their own say the rest")
    user, _, places = parts.netloc.rpartition("@")
    username, _, password = user.partition(":")
    master, database = _path(parts, sentinel=bool(kind))
    return RedisAddress(
        hosts=_hosts(places, SENTINEL_PORT if kind else REDIS_PORT, several=bool(kind)),
        master=master,
        tls=scheme == "rediss",
        username=unquote(username),
        password=unquote(password),
        database=database,
    )


def _path(parts: SplitResult, *, sentinel: bool) -> tuple[str, int]:
    """The master's name and the database's number."""
    steps = [unquote(step) for step in parts.path.split("/") if step]
    master = steps.pop(0) if sentinel and steps else ""
    if sentinel and not master:
        raise ValueError(
            "the name of the master is missing: redis+sentinel://host:26379/master-name"
        )
    number = steps.pop(0) if steps else "0"
    if steps or not number.isdecimal():
        raise ValueError("it must end with the number of the database, such as /0")
    return master, int(number)


def _hosts(places: str, port: int, *, several: bool) -> tuple[tuple[str, int], ...]:
    hosts = places.split(",")
    if len(hosts) > 1 and not several:
        raise ValueError("several hosts need Sentinel: redis+sentinel://host1,host2/master-name")
    return tuple(_host(place, port) for place in hosts)


def _host(place: str, port: int) -> tuple[str, int]:
    try:
        found = urlsplit(f"//{place}")
        name, number = found.hostname, found.port
    except ValueError:
        raise ValueError("a port must be a number from 1 to 65535") from None
    if not name or number == 0:
        raise ValueError(f"a host is missing; give {EXAMPLES}")
    return name, number or port
