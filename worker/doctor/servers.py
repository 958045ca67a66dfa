"""PostgreSQL and Redis: whether they answer, and whether they may be relied upon."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import redis
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from worker import db
from worker.doctor.findings import Finding, Installation, fault, ok, warning
from worker.rebuild import is_whole
from worker.throttle import ThrottleUnavailable

CLOCK_WARNING_MS = 1_000
CLOCK_FAULT_MS = 30_000
"""Chosen: heartbeats and deadlines bear seconds, not half a minute."""

MICROSECONDS_A_SECOND = 1_000_000

DURABILITY = text("""
    SELECT name, setting FROM pg_settings
    WHERE name IN ('synchronous_commit', 'fsync', 'full_page_writes') ORDER BY name
""")


def database(installation: Installation) -> Iterator[Finding]:
    """Whether the database answers, and has this version's schema."""
    try:
        with installation.engine.connect() as connection:
            version = connection.execute(text("SHOW server_version")).scalar_one()
            found, wanted = db.schema_revision(connection), db.newest_revision()
            works = db.works_on(connection)
    except SQLAlchemyError as error:
        words = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()
        mend = "start PostgreSQL or correct DATABASE_URL"
        if "startup parameter" in words[0]:
            mend = "this is PgBouncer: set KADENCIA_DATABASE_DIRECT_URL as well"
        yield fault("database", f"no answer: {words[0]}", mend)
        return
    yield ok("database", f"PostgreSQL {version}")
    if found == wanted:
        yield ok("schema", found)
    elif works:
        yield ok("schema", f"{found}, later than this version's {wanted}, and works with it")
    else:
        yield fault("schema", f"{found or 'none'}, not {wanted}", "run `kadencia migrate`")


def durability(_: Installation, connection: Connection) -> Iterator[Finding]:
    """The product's promises rest on commits that last."""
    settings = {row.name: row.setting for row in connection.execute(DURABILITY)}
    unsafe = sorted(name for name, value in settings.items() if value == "off")
    if unsafe:
        yield fault(
            "durability",
            f"{', '.join(unsafe)} off: a crash may lose what was sent, and it would go twice",
            "set to on in postgresql.conf, or with ALTER SYSTEM",
        )
    else:
        yield ok("durability", "commits last")


def broker(installation: Installation) -> Iterator[Finding]:
    """Whether Redis answers, and keeps what it is given."""
    try:
        info = dict(installation.redis.info())  # type: ignore[arg-type]  # it is synchronous
    except redis.RedisError as error:
        why = type(error).__name__  # its words may hold the address with its password
        yield fault("redis", f"no answer ({why})", "start Redis or correct REDIS_URL")
        return
    name = "Valkey" if "valkey_version" in info else "Redis"
    yield ok("redis", f"{name} {info.get('valkey_version') or info.get('redis_version')}")
    yield eviction(info)
    yield persistence(info)


def eviction(info: Mapping[str, object]) -> Finding:
    """Whether Redis may drop keys for want of memory.

    >>> eviction({"maxmemory_policy": "allkeys-lru", "maxmemory": 1000}).level
    <Level.FAULT: 'fault'>
    """
    policy, bounded = info.get("maxmemory_policy"), bool(info.get("maxmemory"))
    mend = "set maxmemory-policy to noeviction"
    if policy in ("noeviction", None):
        return ok("redis eviction", "none")
    what = f"maxmemory-policy is {policy}: "
    if bounded:
        return fault("redis eviction", what + "a dropped permit would exceed a cadence", mend)
    return warning("redis eviction", what + "without maxmemory it does nothing yet", mend)


def persistence(info: Mapping[str, object]) -> Finding:
    """Whether a restart of Redis keeps queues and permits.

    >>> persistence({"aof_enabled": 0, "rdb_last_save_time": 0}).level
    <Level.WARNING: 'warning'>
    """
    if info.get("aof_enabled"):
        return ok("redis persistence", "append-only file")
    changes, saved = info.get("rdb_changes_since_last_save"), info.get("rdb_last_save_time")
    started = _number(saved) - _number(info.get("server_started_at"))
    if _number(saved) and started > 0 and changes is not None:
        return ok("redis persistence", "snapshots")
    return warning(
        "redis persistence",
        "off: no message is lost, but after a restart of Redis sending waits for a rebuild",
        "set appendonly to yes",
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def clocks(installation: Installation, connection: Connection) -> Iterator[Finding]:
    """Redis counts the cadence and PostgreSQL the deadlines: their clocks should agree."""
    here = time.time()
    before = db.now(connection).timestamp()
    try:
        seconds, micros = installation.redis.time()  # type: ignore[misc]  # it is synchronous
    except redis.RedisError:
        return
    after = db.now(connection).timestamp()
    theirs = seconds + micros / MICROSECONDS_A_SECOND
    yield clock("clock of Redis", (theirs - (before + after) / 2) * 1000)
    yield clock("clock of this host", (here - before) * 1000)


def clock(name: str, offset_ms: float) -> Finding:
    """Judge a clock by its distance from PostgreSQL's.

    >>> clock("clock of a.example", -1500).what
    '1.5 s behind PostgreSQL'
    """
    away = abs(offset_ms)
    side = "ahead of" if offset_ms > 0 else "behind"
    what = f"{away / 1000:.1f} s {side} PostgreSQL"
    mend = "synchronise the clocks of all hosts (NTP)"
    if away > CLOCK_FAULT_MS:
        return fault(name, what, mend)
    if away > CLOCK_WARNING_MS:
        return warning(name, what, mend)
    return ok(name, "agrees with PostgreSQL")


def permits(installation: Installation, connection: Connection) -> Iterator[Finding]:
    """Whether the throttle's log is the whole one; without it nothing is sent."""
    try:
        whole = is_whole(connection, installation.throttle)
    except ThrottleUnavailable:
        return  # said of Redis already
    if whole:
        yield ok("throttle's log", "whole")
    else:
        yield fault(
            "throttle's log",
            "not the one that was last rebuilt: nothing is sent until it is rebuilt",
            "wait 15 seconds; if it stays so, see that `kadencia beat` and a worker run",
        )
