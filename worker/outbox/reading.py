"""Looking at messages: listing e-mails, one's whole evidence, and why it has not gone yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, text

from models.states import Channel, Priority
from worker import db
from worker.core.explain import IN_RECIPIENTS, IN_SEGMENTS, Facts, TaskFacts
from worker.core.fallback import detour, in_charge
from worker.core.plan import make_plan
from worker.outbox import routes
from worker.outbox.backlog import lanes_of
from worker.outbox.in_charge import IN_CHARGE
from worker.outbox.waking import TAKES_LANE

AHEAD_MOST = 100_000  # chosen: counting further tells nobody more

# Keyset paging: each page starts below the last id of the one before.
LIST = """
    SELECT m.id, m.state, m.why, m.subject, m.created_at, m.not_before, m.settled_at, m.priority,
        m.attempts, m.reference, m.idempotency_key, c.name AS company, c.time_zone,
        t.name AS task, m.company_id, m.task_id,
        (SELECT array_agg(r.address ORDER BY r.position) FROM recipient r
         WHERE r.message_id = m.id) AS recipients
    FROM message m
    JOIN company c ON c.id = m.company_id
    LEFT JOIN automatic_task t ON t.id = m.task_id
    WHERE m.channel = 'email' AND {conditions}
    ORDER BY m.id DESC LIMIT :limit
"""

CONDITIONS = {
    "before": "m.id < :before",
    "state": "m.state = :state",
    "company": "m.company_id = :company",
    "task": "(m.task_id = :task OR m.lane_id IN (SELECT id FROM lane WHERE task_id = :task))",
    "recipient": "m.id IN (SELECT message_id FROM recipient WHERE address = :recipient)",
    "since": "m.created_at >= :since",
    "reference": "m.reference = :reference",
}

CHANNELS = text("SELECT id, channel FROM message WHERE id = ANY (CAST(:ids AS bigint[]))")

MESSAGE = text("""
    SELECT m.*, c.name AS company, c.time_zone, e.name AS establishment, n.name AS named_task,
        t.name AS task, b.size AS body_size, b.template,
        (SELECT count(*) FROM body_attachment a WHERE a.body_id = m.body_id) AS attachments
    FROM message m
    JOIN company c ON c.id = m.company_id
    JOIN lane l ON l.id = m.lane_id
    LEFT JOIN establishment e ON e.id = l.establishment_id
    LEFT JOIN automatic_task n ON n.id = l.task_id
    LEFT JOIN automatic_task t ON t.id = m.task_id
    LEFT JOIN body b ON b.id = m.body_id
    WHERE m.id = :id
""")

RECIPIENTS = text("""
    SELECT r.position, r.kind, r.address, r.name, r.domain, r.state, r.reply, s.why AS suppressed
    FROM recipient r
    JOIN message m ON m.id = r.message_id
    LEFT JOIN suppression s ON s.company_id = m.company_id AND s.address = lower(r.address)
    WHERE r.message_id = :id ORDER BY r.position
""")

ATTEMPTS = text("""
    SELECT a.id, a.state, a.opened_at, a.closed_at, a.worker, t.name AS task,
        s.name AS account, a.cost, a.phase, a.code, a.enhanced, a.text, a.replies
    FROM attempt a
    JOIN automatic_task t ON t.id = a.task_id
    JOIN account s ON s.id = a.account_id
    WHERE a.message_id = :id ORDER BY a.opened_at
""")

RECEIPTS = text("""
    SELECT at, address, action, status, diagnostic, remote_mta FROM receipt
    WHERE message_id = :id ORDER BY id
""")

TAKERS = text(f"""
    SELECT t.id, t.name, t.active, t.plan_days, t.plan_from, t.plan_until, t.cadence, t.reserve,
        v.name AS server, o.name AS own_server, v.paused,
        EXISTS (SELECT FROM task_stand_in n WHERE n.task_id = t.id) AS has_stand_ins,
        k.exhausted_until,
        EXISTS (SELECT FROM process p WHERE p.server_id = v.id
            AND p.beat_at > clock_timestamp() - :silent_after) AS alive
    FROM lane l
    JOIN automatic_task t ON t.company_id = l.company_id
    JOIN server v ON v.id = {IN_CHARGE}
    JOIN server o ON o.id = t.server_id
    LEFT JOIN sms_task k ON k.task_id = t.id
    WHERE l.id = :lane AND {TAKES_LANE}
    ORDER BY t.id
""")  # noqa: S608  no value of anybody's is in it

AHEAD = text("""
    SELECT count(*) FROM (
        SELECT FROM message m
        WHERE m.lane_id = ANY (CAST(:lanes AS bigint[])) AND m.state = 'ready'
          AND m.not_before <= statement_timestamp()
          AND (m.priority < :priority OR m.priority = :priority AND m.not_before < :not_before)
        LIMIT :most) AS counted
""")

INSTALLATION = text("""
    SELECT clock_timestamp() AS now, generation, stopped_at, stopped_why, redirect_to, allowed
    FROM installation
""")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages to list; what is None does not narrow it.

    Attributes:
        before: only ids below this one: the last of the page before.
        recipient: an address or a number as it is stored.
        limit: how many at most.
    """

    before: int | None = None
    state: str | None = None
    company: int | None = None
    task: int | None = None
    recipient: str | None = None
    since: datetime | None = None
    reference: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Taker:
    """An automatic task that may take a message, and where its budgets are to be looked up."""

    task_id: int
    account_id: int
    domain_limit: int | None
    facts: TaskFacts


def find(connection: Connection, wanted: Wanted) -> Sequence[Row[Any]]:
    """The newest e-mails that fit, newest first."""
    values = {name: getattr(wanted, name) for name in CONDITIONS}
    given = [CONDITIONS[name] for name, value in values.items() if value is not None]
    query = text(LIST.format(conditions=" AND ".join(given) or "true"))
    return connection.execute(query, values | {"limit": wanted.limit}).all()


def channels(connection: Connection, ids: Sequence[int]) -> dict[int, Channel]:
    """Over what each message goes, by its id; those that are not there are left out."""
    rows = connection.execute(CHANNELS, {"ids": list(ids)})
    return {row.id: Channel(row.channel) for row in rows}


def message(connection: Connection, message_id: int) -> Row[Any] | None:
    """One message with the names of what it belongs to."""
    return connection.execute(MESSAGE, {"id": message_id}).one_or_none()


def recipients(connection: Connection, message_id: int) -> Sequence[Row[Any]]:
    """Its recipients, and why they are suppressed now if they are."""
    return connection.execute(RECIPIENTS, {"id": message_id}).all()


def attempts(connection: Connection, message_id: int) -> Sequence[Row[Any]]:
    """Every attempt, oldest first."""
    return connection.execute(ATTEMPTS, {"id": message_id}).all()


def receipts(connection: Connection, message_id: int) -> Sequence[Row[Any]]:
    """What reports said of its recipients, in the order in which they were taken in."""
    return connection.execute(RECEIPTS, {"id": message_id}).all()


def installation(connection: Connection) -> Row[Any]:
    """What holds for the whole fleet, and PostgreSQL's clock."""
    return connection.execute(INSTALLATION).one()


def takers(connection: Connection, row: Row[Any], silent_after: timedelta) -> list[Taker]:
    """The automatic tasks that may take a message, with what PostgreSQL knows of each.

    Args:
        connection: any.
        row: from `message`.
        silent_after: an OAC server without a heartbeat for this long is silent.
    """
    found = connection.execute(TAKERS, {"lane": row.lane_id, "silent_after": silent_after})
    return [_taker(connection, one, row, silent_after) for one in found.all()]


def facts(
    row: Row[Any],
    people: Sequence[Row[Any]],
    whole: Row[Any],
    tasks: Sequence[TaskFacts],
    throttle: str | None,
) -> Facts:
    """What `explain` needs; times are in the company's zone.

    Args:
        row: from `message`.
        people: from `recipients`.
        whole: from `installation`.
        tasks: of its takers.
        throttle: what is wrong with the throttle, if anything.
    """
    zone = ZoneInfo(row.time_zone)
    pending = [one for one in people if one.state == "pending"]
    is_sms = row.channel == Channel.SMS
    # An SMS cannot be redirected: where e-mails are, only the numbers that are allowed get any.
    allowed = (whole.allowed or ()) if is_sms and whole.redirect_to else whole.allowed
    redirect_to = None if is_sms else whole.redirect_to
    return Facts(
        now=whole.now.astimezone(zone),
        not_before=row.not_before.astimezone(zone),
        expires_at=row.expires_at.astimezone(zone),
        domains=frozenset(one.domain for one in pending),
        cost=row.cost,
        unit=IN_SEGMENTS if is_sms else IN_RECIPIENTS,
        stopped=(whole.stopped_why or "no reason given") if whole.stopped_at else None,
        barred=tuple(
            one.address
            for one in pending
            if allowed is not None
            and redirect_to is None
            and one.address.lower() not in allowed
            and f"@{one.domain}" not in allowed
        ),
        redirect_to=redirect_to,
        throttle=throttle,
        tasks=tuple(tasks),
    )


def _taker(connection: Connection, one: Row[Any], row: Row[Any], silent_after: timedelta) -> Taker:
    now = db.now(connection)
    known = routes.standings(connection, one.id, now, silent_after)
    account = in_charge(known, now)
    zone = ZoneInfo(row.time_zone)
    plan = make_plan(one.plan_days, one.plan_from, one.plan_until, row.time_zone)
    ahead = connection.execute(
        AHEAD,
        {
            "lanes": lanes_of(connection, one.id),
            "priority": row.priority,
            "not_before": row.not_before,
            "most": AHEAD_MOST,
        },
    ).scalar_one()
    transactional = row.priority == Priority.TRANSACTIONAL
    facts_of_task = TaskFacts(
        name=one.name,
        active=one.active,
        plan=plan,
        server=one.server,
        own_server=one.own_server,
        has_stand_ins=one.has_stand_ins,
        server_alive=one.alive,
        server_paused=one.paused,
        account=account.name,
        account_enabled=account.enabled,
        breaker_until=account.until and account.until.astimezone(zone),
        breaker_why=account.why,
        detour=detour(known, account, now),
        limit=one.cadence - (0 if transactional else one.reserve),
        ahead=ahead,
        broke_until=one.exhausted_until and one.exhausted_until.astimezone(zone),
    )
    limit = routes.domain_limit(connection, account.account_id)
    return Taker(one.id, account.account_id, limit, facts_of_task)
