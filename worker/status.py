"""What goes on, at a glance: the installation, its servers, and each automatic task."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, text

from models.states import Channel, MessageState
from settings import Settings
from worker import db
from worker.core.forecast import expected_end
from worker.core.plan import make_plan, open_until
from worker.outbox import figures
from worker.outbox.figures import Count, Stranded
from worker.outbox.in_charge import IN_CHARGE

TASKS = text(f"""
    SELECT t.id, t.name, t.channel, t.active, t.paused_why, t.cadence, t.plan_days, t.plan_from,
        t.plan_until, t.next_run_at, t.waits_for, c.name AS company, c.time_zone,
        s.name AS server, s.paused, nullif(o.name, s.name) AS stands_in_for,
        EXISTS (SELECT FROM process p WHERE p.server_id = s.id
                AND CASE t.channel WHEN 'sms' THEN p.sms_slots ELSE p.slots END > 0
                AND p.beat_at > clock_timestamp() - CAST(:silent_after AS interval)) AS alive,
        EXISTS (SELECT FROM process p WHERE p.server_id = s.id
                AND p.beat_at > clock_timestamp() - CAST(:silent_after AS interval)) AS runs,
        a.enabled, a.breaker_why, a.breaker_until > clock_timestamp() AS refused,
        EXISTS (SELECT FROM task_account b JOIN account f ON f.id = b.account_id
                WHERE b.task_id = t.id AND f.enabled
                  AND coalesce(f.breaker_until <= clock_timestamp(), true)) AS falls_back,
        coalesce(k.exhausted_until > clock_timestamp(), false) AS exhausted,
        (SELECT r.why_not_more FROM task_run r WHERE r.task_id = t.id
         ORDER BY r.started_at DESC LIMIT 1) AS why_not_more
    FROM automatic_task t JOIN company c ON c.id = t.company_id
    JOIN server s ON s.id = {IN_CHARGE} JOIN server o ON o.id = t.server_id
    JOIN account a ON a.id = t.account_id
    LEFT JOIN sms_task k ON k.task_id = t.id
    ORDER BY c.name, t.name
""")  # noqa: S608  no value of anybody's is in it

SERVERS = text("""
    SELECT s.name, s.paused, count(p.id) AS live, coalesce(sum(p.slots), 0) AS slots,
        coalesce(sum(p.sms_slots), 0) AS sms_slots
    FROM server s LEFT JOIN process p ON p.server_id = s.id
        AND p.beat_at > clock_timestamp() - CAST(:silent_after AS interval)
    GROUP BY s.id ORDER BY s.name
""")

INSTALLATION = text("""
    SELECT stopped_at, stopped_why, restored, redirect_to, allowed,
        (SELECT count(*) FROM alarm WHERE cleared_at IS NULL) AS alarms
    FROM installation
""")


BALANCES = text("""
    SELECT c.name AS company, a.name, e.balance, e.balance_at, c.time_zone
    FROM account a JOIN company c ON c.id = a.company_id
    JOIN eurosms_account e ON e.account_id = a.id
    WHERE a.enabled ORDER BY c.name, a.name
""")


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One OAC server: its live `kadencia worker`s; `slots` e-mails go at once, `sms_slots` SMS."""

    name: str
    paused: bool
    live: int
    slots: int
    sms_slots: int


@dataclass(frozen=True, slots=True)
class BalanceStatus:
    """What was left of an account at EuroSMS, in EUR, when that was last seen, if ever."""

    company: str
    account: str
    balance: Decimal | None
    at: datetime | None
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """One automatic task.

    Attributes:
        server: the OAC server in charge of it.
        stands_in_for: its own OAC server, if another is in charge.
        state: what it does, in a few words.
        channel: email or sms; of SMS, `sent` and `cadence` count segments.
        sent: recipients whose mail was accepted in the last window.
        next_slot: when it may go on, if it waits for that.
        end: when its backlog will be sent, if nothing is in its way.
        zone: the company's, for the times.
    """

    company: str
    task: str
    channel: str
    server: str
    state: str
    backlog: Count
    on_the_way: int
    sent: int
    cadence: int
    next_slot: datetime | None
    end: datetime | None
    zone: ZoneInfo
    stands_in_for: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """All of it, at one moment.

    Attributes:
        notices: what a person must know before anything else: stopped, redirected, alarms.
        held, unknown: messages that wait for a person.
        awaited: SMS whose delivery reports have not all come.
        balances: of the enabled accounts at EuroSMS.
        stranded: ready messages that no automatic task will ever take.
    """

    at: datetime
    notices: tuple[str, ...]
    servers: tuple[ServerStatus, ...]
    tasks: tuple[TaskStatus, ...]
    held: Count
    unknown: Count
    awaited: Count
    balances: tuple[BalanceStatus, ...]
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
            ServerStatus(row.name, row.paused, row.live, row.slots, row.sms_slots)
            for row in connection.execute(SERVERS, {"silent_after": silent_after})
        ),
        tasks=tuple(_task(connection, row, settings, now) for row in tasks),
        held=figures.parked(connection, MessageState.HELD),
        unknown=figures.parked(connection, MessageState.UNKNOWN),
        awaited=figures.awaited(connection),
        balances=tuple(
            BalanceStatus(
                row.company, row.name, row.balance, row.balance_at, ZoneInfo(row.time_zone)
            )
            for row in connection.execute(BALANCES)
        ),
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
    runs = row.active and (row.enabled or row.falls_back) and not backlog.more and waiting > 0
    return TaskStatus(
        company=row.company,
        task=row.name,
        channel=row.channel,
        server=row.server,
        state=state or _busy(row, waiting),
        backlog=backlog,
        on_the_way=on_the_way,
        sent=figures.sent(connection, [row.id], window, longest),
        cadence=row.cadence,
        next_slot=row.next_run_at if row.active and row.waits_for != "work" else None,
        end=expected_end(now, waiting, row.cadence, window, plan) if runs else None,
        zone=ZoneInfo(row.time_zone),
        stands_in_for=row.stands_in_for,
    )


def _state(row: Row[Any], open_now: bool) -> str | None:
    """What keeps a task from sending; None if nothing does."""
    account = "account at EuroSMS" if row.channel == Channel.SMS else "SMTP account"
    what = "SMS" if row.channel == Channel.SMS else "e-mails"
    hindrances = {
        f"paused by Kadencia: {row.paused_why}": row.paused_why is not None,
        "paused": not row.active,
        f"OAC server {row.server} is paused": row.paused,
        f"OAC server {row.server} is silent": not row.runs,
        f"no worker of OAC server {row.server} sends {what}": not row.alive,
        f"its {account} is disabled": not (row.enabled or row.falls_back),
        f"its {account} refuses us: {row.breaker_why}": row.refused and not row.falls_back,
        "outside its plan": not open_now,
        "its budget is used up": row.exhausted,
    }
    return next((why for why, holds in hindrances.items() if holds), None)


def _busy(row: Row[Any], waiting: int) -> str:
    if not waiting:
        return "idle"
    return f"sending; bound by {row.why_not_more}" if row.waits_for != "work" else "sending"
