"""PostgreSQL: engines, clocks, advisory locks, migrations."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from pathlib import Path

import alembic.command
import alembic.config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

import models
from models.intake_functions import confine

IN_THE_WAY = {"40P01", "55P03"}
"""PostgreSQL's codes of a deadlock, and of a lock that was not had in time."""
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.3

OLDEST_SCHEMA = text("SELECT oldest_schema FROM installation")


class Lock(IntEnum):
    """First key of our advisory locks; the second names the thing, or is 0."""

    GENERATION = 7301
    """Shared by every claim, exclusive for a rebuild of the throttle's log."""
    SWEEP = 7302
    """Of an automatic task: one sweep at a time."""
    ACCOUNT = 7306
    """Of an SMTP account: sweeps of tasks that share it take turns."""
    MIGRATION = 7303
    RECOVERY = 7304
    RETENTION = 7305


BOUNDS = {
    # A statement that hangs for a minute is a fault; so is an idle transaction.
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
}
"""What holds in each of our sessions."""


def make_engine(url: str, *, name: str, pool_size: int = 2, pooled: bool = False) -> Engine:
    """An engine that gives up in seconds on a database that is away.

    Args:
        url: postgresql://user:password@host:port/name
        name: shown as application_name, to tell who holds a connection.
        pool_size: connections kept; as many again may be opened in need.
        pooled: whether the address is PgBouncer's in transaction mode. It refuses start-up
            options and hands each transaction another session, so each sets its bounds itself.
    """
    options = {"options": " ".join(f"-c {name}={value}" for name, value in BOUNDS.items())}
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg2"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,  # addresses and subjects never reach an error text
        connect_args={
            "application_name": f"kadencia {name}"[:63],
            "connect_timeout": 5,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            **({} if pooled else options),
        },
    )
    if pooled:
        event.listen(engine, "begin", _bound)
    return engine


def _bound(connection: Connection) -> None:
    """One round trip more for each transaction, which no other way through PgBouncer saves."""
    bounds = (f"SET LOCAL {name} = '{value}'" for name, value in BOUNDS.items())
    connection.exec_driver_sql("; ".join(bounds))


@contextmanager
def transaction(engine: Engine, *, who: str | None = None) -> Iterator[Connection]:
    """One transaction, committed at the end; `who` is written to the audit log."""
    with engine.begin() as connection:
        if who is not None:
            connection.execute(text("SELECT set_config('kadencia.who', :who, true)"), {"who": who})
        yield connection


def is_gone(error: DBAPIError) -> bool:
    """Whether the server cannot be reached, or has ended the session: another may soon be had.

    Source:
        PostgreSQL's error codes, class 57P (shut down, crashed, starting up); without a code it
        was the connection that failed.
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    code = getattr(error.orig, "pgcode", None)
    return code is None or str(code).startswith("57P")


def is_in_the_way(error: DBAPIError) -> bool:
    """Whether others were at work on what a statement wanted to have alone."""
    return getattr(error.orig, "pgcode", None) in IN_THE_WAY


def now(connection: Connection) -> datetime:
    """PostgreSQL's clock, not the start of the transaction."""
    moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment


def try_lock(connection: Connection, lock: Lock, key: int = 0) -> bool:
    """Take an advisory lock until the transaction ends, or say that another has it."""
    return bool(
        connection.execute(
            text("SELECT pg_try_advisory_xact_lock(:lock, :key)"), {"lock": int(lock), "key": key}
        ).scalar_one()
    )


def share_lock(connection: Connection, lock: Lock) -> None:
    """Take an advisory lock, shared, until the transaction ends; waits for an exclusive holder."""
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock, 0)"), {"lock": int(lock)})


def lock_alone(connection: Connection, lock: Lock, key: int = 0) -> None:
    """Take an advisory lock, exclusive, until the transaction ends; waits for all holders."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(:lock, :key)"), {"lock": int(lock), "key": key}
    )


def migrate(engine: Engine, revision: str = "head") -> str:
    """Bring the schema to a revision; two that do so at once take turns.

    Going forward, each migration has a transaction of its own. The fleet may work on meanwhile:
    a migration that gets into its way, as in a deadlock, lets it go first and is tried again.

    Args:
        engine: the database.
        revision: "head" for this version's, "base" for none.

    Returns:
        The revision that is now in force, "" for none.

    Raises:
        OperationalError: the database is away, or its tables were in use for a minute.
    """
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            if (reached := _step(engine, revision)) is not None:
                return reached
        except OperationalError as error:
            if not is_in_the_way(error) or time.monotonic() > give_up:
                raise
            time.sleep(PAUSE_SECONDS)


def _step(engine: Engine, revision: str) -> str | None:
    """One migration forward, or all the way back; the revision once it is reached."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        # Of a role named as our schema of functions, tables would land there.
        connection.execute(text("SET LOCAL search_path = public"))
        lock_alone(connection, Lock.MIGRATION)
        # Behind one that waits for a table, everybody else waits for it.
        connection.execute(text("SET LOCAL lock_timeout = '2s'"))
        config = _alembic_config()
        config.attributes["connection"] = connection
        current = schema_revision(connection)
        order = [s.revision for s in ScriptDirectory.from_config(config).walk_revisions()]
        target = order[0] if revision == "head" else revision
        forward = target in order and current not in order[: order.index(target)]
        if not forward:
            alembic.command.downgrade(config, revision)
        elif current != target:
            alembic.command.upgrade(config, "+1")
        if forward and schema_revision(connection) != target:
            return None
        confine(connection)
        return schema_revision(connection)


def schema_revision(connection: Connection) -> str:
    """The revision of the schema in the database, "" where there is none."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def works_on(connection: Connection) -> bool:
    """Whether this version of the product works with the schema in the database.

    That is its own, or a later one that has only been added to since: each migration says which
    is the oldest whose version goes on working, so that hosts are upgraded one by one.
    """
    found, known = schema_revision(connection), revisions()
    if not found or found in known:
        return found == known[0]
    return connection.execute(OLDEST_SCHEMA).scalar() in known


def newest_revision() -> str:
    """The revision that this version of the product works with."""
    return ScriptDirectory.from_config(_alembic_config()).get_current_head() or ""


@functools.cache
def revisions() -> list[str]:
    """Every revision that this version of the product knows, newest first."""
    scripts = ScriptDirectory.from_config(_alembic_config())
    return [script.revision for script in scripts.walk_revisions()]


def _alembic_config() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(models.__file__).parent / "migrations"))
    return config
