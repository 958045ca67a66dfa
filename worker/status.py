"""What goes on, at a glance: the installation, its servers, and each automatic task."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, text

from models.states import MessageState
from settings import Settings
from worker import db
from worker.core.forecast import expected_end
from worker.core.plan import make_plan, open_until
from worker.outbox import figures
from worker.outbox.figures import Count, Stranded

TASKS = text("""
    SELECT t.id, t.name, t.active, t.cadence, t.plan_days, t.plan_from, t.plan_until,
        t.next_run_at, t.waits_for, c.name AS company, c.time_zone, s.name AS server, s.paused,
        EXISTS (SELECT FROM process p WHERE p.server_id = s.id
                AND p.beat_at > clock_timestamp() - CAST(:silent_after AS interval)) AS alive,
        a.enabled, a.breaker_why, a.breaker_until > clock_timestamp() AS refused,
        (SELECT r.why_not_more FROM task_run r WHERE r.task_id = t.id
         ORDER BY r.started_at DESC LIMIT 1) AS why_not_more
    FROM automatic_task t JOIN company c ON c.id = t.company_id
    JOIN server s ON s.id = t.server_id JOIN account a ON a.id = t.account_id
    ORDER BY c.name, t.name
""")

SERVERS = text("""
    SELECT s.name, s.paused, count(p.id) AS live, coalesce(sum(p.slots), 0) AS slots
    FROM server s LEFT JOIN process p ON p.server_id = s.id
        AND p.beat_at > clock_timestamp() - CAST(:silent_after AS interval)
    GROUP BY s.id ORDER BY s.name
""")

INSTALLATION = text("""
    SELECT stopped_at, stopped_why, restored, redirect_to, allowed,
        (SELECT count(*) FROM alarm WHERE cleared_at IS NULL) AS alarms
    FROM installation
""")


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One OAC server: its live `kadencia worker`s, and how many messages they send at once."""

    name: str
    paused: bool
    live: int
    slots: int


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """One automatic task.

    Attributes:
        state: what it does, in a few words.
        sent: recipients whose mail was accepted in the last window.
        next_slot: when it may go on, if it waits for that.
        end: when its backlog will be sent, if nothing is in its way.
        zone: the company's, for the times.
    """

    company: str
    task: str
    server: str
    state: str
    backlog: Count
    on_the_way: int
    sent: int
    cadence: int
    next_slot: datetime | None
    end: datetime | None
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Status:
    """All of it, at one moment.

    Attributes:
        notices: what a person must know before anything else: stopped, redirected, alarms.
        held, unknown: messages that wait for a person.
        stranded: ready messages that no automatic task will ever take.
    """

    at: datetime
    notices: tuple[str, ...]
    servers: tuple[ServerStatus, ...]
    tasks: tuple[TaskStatus, ...]
    held: Count
    unknown: Count
    stranded: tuple[Stranded, ...]


def look(connection: Connection, settings: Settings) -> Status:
    """See what goes on; a few milliseconds a task, however large the backlog."""
    now = db.now(connection)
    silent_after = timedelta(seconds=settings.silent_after_seconds)
    tasks = connection.execute(TASKS, {"silent_after": silent_after}).all()
    return Status(
        at=now,
        notices=tuple(_notices(connection.execute(INSTALLATION).one())),
        servers=tuple(
            ServerStatus(row.name, row.paused, row.live, row.slots)
            for row in connection.execute(SERVERS, {"silent_after": silent_after})
        ),
        tasks=tuple(_task(connection, row, settings, now) for row in tasks),
        held=figures.parked(connection, MessageState.HELD),
        unknown=figures.parked(connection, MessageState.UNKNOWN),
        stranded=tuple(figures.lanes_without_task(connection)),
    )


def _notices(row: Row[Any]) -> list[str]:
    found = []
    if row.restored:
        found.append("RESTORED FROM A BACKUP: nothing is sent until `kadencia start-all`")
    elif row.stopped_at is not None:
        why = f": {row.stopped_why}" if row.stopped_why else ""
        found.append(f"STOPPED{why}; `kadencia start-all` lets sending go on")
    if row.redirect_to is not None:
        found.append(f"SAFETY MODE: every mail goes to {row.redirect_to}")
    elif row.allowed is not None:
        found.append("SAFETY MODE: only listed recipients are let through")
    if row.alarms:
        found.append(f"{row.alarms} open alarm(s); `kadencia doctor` lists them")
    return found


def _task(connection: Connection, row: Row[Any], settings: Settings, now: datetime) -> TaskStatus:
    window = timedelta(seconds=settings.window_seconds)
    longest = timedelta(seconds=settings.handover_max_seconds)
    backlog = figures.backlog(connection, [row.id])
    on_the_way = figures.on_the_way(connection, [row.id])
    plan = make_plan(row.plan_days, row.plan_from, row.plan_until, row.time_zone)
    state = _state(row, open_until(plan, now) is not None)
    waiting = backlog.least + on_the_way
    runs = row.active and row.enabled and not backlog.more and waiting > 0
    return TaskStatus(
        company=row.company,
        task=row.name,
        server=row.server,
        state=state or _busy(row, waiting),
        backlog=backlog,
        on_the_way=on_the_way,
        sent=figures.sent(connection, [row.id], window, longest),
        cadence=row.cadence,
        next_slot=row.next_run_at if row.active and row.waits_for != "work" else None,
        end=expected_end(now, waiting, row.cadence, window, plan) if runs else None,
        zone=ZoneInfo(row.time_zone),
    )


def _state(row: Row[Any], open_now: bool) -> str | None:
    """What keeps a task from sending; None if nothing does."""
    hindrances = {
        "paused": not row.active,
        f"OAC server {row.server} is paused": row.paused,
        f"OAC server {row.server} is silent": not row.alive,
        "its SMTP account is disabled": not row.enabled,
        f"its SMTP account refuses us: {row.breaker_why}": bool(row.refused),
        "outside its plan": not open_now,
    }
    return next((why for why, holds in hindrances.items() if holds), None)


def _busy(row: Row[Any], waiting: int) -> str:
    if not waiting:
        return "idle"
    return f"sending; bound by {row.why_not_more}" if row.waits_for != "work" else "sending"
