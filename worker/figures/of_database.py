"""Figures out of PostgreSQL: what waits, who runs, which accounts fare how, what SMS cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import MessageState, Waits
from settings import Settings
from worker import db
from worker.core.alarms import Kind
from worker.figures import catalogue as of
from worker.figures.catalogue import Point
from worker.figures.day import Day
from worker.figures.of_services import of_services
from worker.logs import hide_addresses
from worker.outbox import tallies
from worker.outbox.in_charge import IN_CHARGE
from worker.outbox.tallies import NOBODY, Takers

STATEMENT_SECONDS = 5
"""Chosen: a look that takes longer is given up, so that the metrics never burden the database."""
LIMIT_TIME = text(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'")

OPEN = (
    MessageState.READY,
    MessageState.RELEASED,
    MessageState.SENDING,
    MessageState.HELD,
    MessageState.UNKNOWN,
)

TASKS = text(f"""
    SELECT t.id, t.name, t.channel, t.active, t.cadence, t.account_id, t.waits_for,
        t.acting_server_id IS NOT NULL AS stood_in, c.name AS company,
        s.name AS server, k.budget_day, k.budget_month, spent.day AS spent_day,
        spent.month AS spent_month
    FROM automatic_task t JOIN company c ON c.id = t.company_id
    JOIN server s ON s.id = {IN_CHARGE}
    LEFT JOIN sms_task k ON k.task_id = t.id
    CROSS JOIN LATERAL (SELECT
        CAST(clock_timestamp() AT TIME ZONE c.time_zone AS date) AS today) AS d
    LEFT JOIN LATERAL (
        SELECT coalesce(sum(p.spent) FILTER (WHERE p.day = d.today), 0) AS day,
            coalesce(sum(p.spent), 0) AS month
        FROM sms_spend p WHERE p.task_id = t.id
          AND p.day >= date_trunc('month', d.today) AND p.day <= d.today) AS spent ON true
    ORDER BY t.id
""")  # noqa: S608  no value of anybody's is in it

ACCOUNTS = text("""
    SELECT a.id, a.name, a.channel, c.name AS company, a.most_connections, a.enabled,
        a.breaker_failures, coalesce(a.breaker_until > clock_timestamp(), false) AS refused,
        e.balance, extract(epoch FROM clock_timestamp() - e.balance_at) AS balance_age
    FROM account a JOIN company c ON c.id = a.company_id
    LEFT JOIN eurosms_account e ON e.account_id = a.id
    ORDER BY a.id
""")

PROCESSES = text("""
    SELECT s.name AS server, p.id, p.slots, p.sms_slots, p.clock_offset_ms,
        extract(epoch FROM clock_timestamp() - p.beat_at) AS age,
        extract(epoch FROM clock_timestamp() - coalesce(p.control_answered_at, p.started_at))
            AS control,
        extract(epoch FROM clock_timestamp() - coalesce(p.send_answered_at, p.started_at))
            AS send,
        extract(epoch FROM clock_timestamp() - coalesce(p.eurosms_answered_at, p.started_at))
            AS eurosms
    FROM process p JOIN server s ON s.id = p.server_id ORDER BY s.name, p.started_at
""")
SERVERS = text("SELECT name, paused FROM server ORDER BY name")
INSTALLATION = text("""
    SELECT stopped_at IS NOT NULL AS stopped, generation,
        extract(epoch FROM clock_timestamp() - beat_at) AS beat_age
    FROM installation
""")
ALARMS = text("SELECT kind, count(*) AS alarms FROM alarm WHERE cleared_at IS NULL GROUP BY kind")


@dataclass(frozen=True, slots=True)
class TaskKey:
    """What is asked of Redis about one automatic task."""

    task_id: int
    account_id: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Figures out of PostgreSQL, and what of them Redis is asked about."""

    points: tuple[Point, ...]
    tasks: tuple[TaskKey, ...]
    servers: tuple[str, ...]
    generation: int


def of_database(connection: Connection, settings: Settings, day: Day) -> Seen:
    """All figures out of PostgreSQL, in one transaction, but for the schema.

    Args:
        connection: in a transaction of its own, in which `schema` was asked for.
        settings: the window, and how long a hand-over may take.
        day: counts the attempts; used by one thread at a time.
    """
    now = db.now(connection)
    tasks = connection.execute(TASKS).all()
    servers = connection.execute(SERVERS).all()
    installation = connection.execute(INSTALLATION).one()
    day.look(connection, now)
    points = [
        *_of_installation(installation),
        *(Point(of.SERVER_PAUSED, row.paused, (row.name,)) for row in servers),
        *_processes(connection),
        *_alarms(connection),
        *of_services(connection),
        *(point for row in tasks for point in _task(row)),
        *day.points([row.id for row in tasks]),
        *_messages(connection, tasks, now),
        *_windows(connection, tasks, settings, now),
    ]
    keys = tuple(TaskKey(row.id, row.account_id) for row in tasks)
    names = tuple(row.name for row in servers)
    return Seen(tuple(points), keys, names, installation.generation)


def schema(connection: Connection) -> Point:
    """Which schema the database has; the first look of a transaction, and a bounded one."""
    connection.execute(LIMIT_TIME)
    found = db.schema_revision(connection)
    return Point(of.SCHEMA, db.works_on(connection), (found or "none",))


def _of_installation(row: Row[Any]) -> Iterator[Point]:
    yield Point(of.STOPPED, row.stopped)
    yield Point(of.GENERATION, row.generation)
    if row.beat_age is not None:
        yield Point(of.BEAT_AGE, _age(row.beat_age))


def _processes(connection: Connection) -> Iterator[Point]:
    ages: dict[str, float] = {}
    for row in connection.execute(PROCESSES):
        ages[row.server] = min(ages.get(row.server, row.age), row.age)
        key = (row.server, str(row.id)[:8])
        yield Point(of.PROCESS_AGE, _age(row.age), key)
        yield Point(of.PROCESS_SLOTS, row.slots, (*key, "email"))
        yield Point(of.PROCESS_SLOTS, row.sms_slots, (*key, "sms"))
        yield Point(of.CLOCK_OFFSET, row.clock_offset_ms / 1000, key)
        parts = {"control": 1, "send": row.slots, "eurosms": row.sms_slots}
        for part in (name for name, slots in parts.items() if slots):
            yield Point(of.PART_AGE, _age(getattr(row, part)), (*key, part))
    for server, age in ages.items():
        yield Point(of.SERVER_AGE, _age(age), (server,))


def _alarms(connection: Connection) -> Iterator[Point]:
    found = {row.kind: row.alarms for row in connection.execute(ALARMS)}
    for kind in sorted({*Kind, *found}):
        yield Point(of.ALARMS, found.get(kind, 0), (str(kind),))


def _task(row: Row[Any]) -> Iterator[Point]:
    task = str(row.id)
    names = hide_addresses(row.name), hide_addresses(row.company)
    yield Point(of.TASK, 1, (task, *names, row.channel, row.server, str(row.account_id)))
    yield Point(of.TASK_ACTIVE, row.active, (task,))
    yield Point(of.TASK_STOOD_IN, row.stood_in, (task,))
    for what in Waits:
        yield Point(of.TASK_WAITS, what == row.waits_for, (task, what))
    yield Point(of.CADENCE, row.cadence, (task,))
    if row.channel == "sms":
        for period in ("day", "month"):
            yield Point(of.SPENT, getattr(row, f"spent_{period}"), (task, period))
            budget = getattr(row, f"budget_{period}")
            if budget is not None:
                yield Point(of.BUDGET, budget, (task, period))


def _messages(connection: Connection, tasks: Any, now: datetime) -> Iterator[Point]:
    takers = Takers(connection)
    backlog = {
        (one.task_id, one.state): one.messages for one in tallies.backlog(connection, takers)
    }
    oldest = tallies.oldest(connection, takers)
    awaited = tallies.awaited(connection)
    for task_id in (NOBODY, *(row.id for row in tasks)):
        task = str(task_id)
        for state in OPEN:
            yield Point(of.BACKLOG, backlog.get((task_id, state), 0), (task, state))
        since = oldest.get(task_id, now)
        yield Point(of.OLDEST, _age((now - since).total_seconds()), (task,))
    for row in tasks:
        if row.channel == "sms":
            yield Point(of.AWAITED, awaited.get(row.id, 0), (str(row.id),))
    in_use = tallies.on_the_way(connection)
    for row in connection.execute(ACCOUNTS):
        yield from _account(row, in_use.get(row.id, 0))


def _account(row: Row[Any], in_use: int) -> Iterator[Point]:
    account = str(row.id)
    names = hide_addresses(row.name), hide_addresses(row.company)
    yield Point(of.ACCOUNT, 1, (account, *names, row.channel))
    yield Point(of.ACCOUNT_ENABLED, row.enabled, (account,))
    yield Point(of.BREAKER_OPEN, row.refused, (account,))
    yield Point(of.BREAKER_FAILURES, row.breaker_failures, (account,))
    yield Point(of.CONNECTIONS_IN_USE, in_use, (account,))
    yield Point(of.CONNECTIONS_MOST, row.most_connections, (account,))
    if row.balance is not None:
        yield Point(of.BALANCE, row.balance, (account,))
    if row.balance_age is not None:
        yield Point(of.BALANCE_AGE, _age(row.balance_age), (account,))


def _windows(
    connection: Connection, tasks: Any, settings: Settings, now: datetime
) -> Iterator[Point]:
    worst = tallies.worst_windows(
        connection,
        now,
        timedelta(seconds=settings.window_seconds),
        dot_by=timedelta(seconds=settings.dot_by_seconds),
        handover_max=timedelta(seconds=settings.handover_max_seconds),
    )
    for row in tasks:
        yield Point(of.WORST, worst.get(row.id, 0), (str(row.id),))


def _age(seconds: float) -> float:
    return max(0.0, float(seconds))
