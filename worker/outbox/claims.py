"""Claiming a released message: it moves to sending, and its attempt is opened, in one commit."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import Channel, Priority, RecipientState, derive
from worker import db
from worker.outbox import overdue
from worker.outbox.in_charge import IN_CHARGE
from worker.outbox.routes import OF_PARTS, PARTS

# What a sending process needs before the claim, to have a connection ready.
ROUTE = text(f"""
    SELECT a.*, {PARTS}, c.name AS company_name, m.traceparent,
        (SELECT coalesce(sum(p.slots), 0) FROM process p
         WHERE p.beat_at > clock_timestamp() - :silent_after AND p.server_id IN (
            SELECT {IN_CHARGE} FROM automatic_task t WHERE t.active AND (t.account_id = a.id
                OR t.id IN (SELECT k.task_id FROM task_account k WHERE k.account_id = a.id)))
        ) AS slots,
        coalesce(a.breaker_until > clock_timestamp(), false) AS breaker_open
    FROM message m
    JOIN automatic_task t ON t.id = m.task_id
    LEFT JOIN detour d ON d.message_id = m.id AND d.lease = m.lease
    JOIN account a ON a.id = coalesce(d.account_id, t.account_id)
    JOIN company c ON c.id = a.company_id
    {OF_PARTS}
    WHERE m.id = :id AND m.lease = :lease AND m.state = 'released'
""")  # noqa: S608  no value of anybody's is in it

CLAIMABLE = text(f"""
    SELECT m.id, m.company_id, m.channel, m.priority, m.expires_at, m.created_at, m.message_id,
        m.subject, m.body_id, m.fields, m.reply_to, m.list_unsubscribe, m.headers, m.attempts,
        t.id AS task_id, t.active, t.cadence, t.reserve, t.sender_name, t.sender_address,
        coalesce(t.envelope_sender, t.sender_address) AS envelope_sender,
        s.name AS server, s.paused, c.time_zone,
        a.id AS account_id, a.enabled, a.hourly_limit, a.domain_hourly_limit,
        i.generation, i.stopped_at, i.redirect_to, i.allowed,
        m.expires_at <= clock_timestamp() AS expired,
        a.id = t.account_id OR EXISTS (
            SELECT FROM task_account k WHERE k.task_id = t.id AND k.account_id = a.id) AS on_its_way
    FROM message m
    JOIN automatic_task t ON t.id = m.task_id
    JOIN server s ON s.id = {IN_CHARGE}
    JOIN company c ON c.id = m.company_id
    LEFT JOIN detour d ON d.message_id = m.id AND d.lease = m.lease
    JOIN account a ON a.id = coalesce(d.account_id, t.account_id)
    CROSS JOIN installation i
    WHERE m.id = :id AND m.lease = :lease AND m.state = 'released'
    FOR UPDATE OF m
""")  # noqa: S608  no value of anybody's is in it

PENDING = text("""
    SELECT r.position, r.kind, r.address, r.domain, r.cost, r.name, r.state, s.why AS suppressed
    FROM recipient r
    LEFT JOIN suppression s ON s.company_id = :company AND s.address = lower(r.address)
    WHERE r.message_id = :id ORDER BY r.position
""")

TO_SENDING = text("""
    UPDATE message SET state = 'sending', deadline = clock_timestamp() + :deadline,
        cost = :cost, domain = :domain, domains = CAST(:domains AS jsonb), why = NULL
    WHERE id = :id
""")

OPEN_ATTEMPT = text("""
    INSERT INTO attempt (id, message_id, task_id, account_id, worker, cost, domains)
    VALUES (:lease, :id, :task, :account, :worker, :cost, CAST(:domains AS jsonb))
""")

SUPPRESS_RECIPIENTS = text("""
    UPDATE recipient r SET state = 'suppressed', reply = n.why
    FROM unnest(CAST(:positions AS smallint[]), CAST(:reasons AS text[])) AS n(position, why)
    WHERE r.message_id = :id AND r.position = n.position
""")

END = text("""
    UPDATE message SET state = :state, lease = NULL, deadline = NULL, why = :why,
        settled_at = CASE WHEN :settled THEN clock_timestamp() END
    WHERE id = :id
""")

OPEN_OR_REFUSED = {RecipientState.PENDING, RecipientState.FAILED}


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient, as the header and the envelope need it."""

    position: int
    kind: str
    address: str
    domain: str
    cost: int
    name: str | None
    pending: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is ours to hand over, its open attempt, and the limits in force."""

    attempt: uuid.UUID
    message_id: int
    task_id: int
    account_id: int
    generation: int
    cadence: int
    reserve: int
    hourly_limit: int | None
    domain_hourly_limit: int | None
    transactional: bool
    bulk: bool
    recipients: tuple[Recipient, ...]
    row: Row[Any] = field(repr=False)

    @property
    def envelope(self) -> tuple[Recipient, ...]:
        """Those who are still to be reached."""
        return tuple(r for r in self.recipients if r.pending)

    @property
    def domains(self) -> dict[str, int]:
        """What a permit for them costs, by domain."""
        return count_domains(self.envelope)


def route(
    connection: Connection, message_id: int, token: uuid.UUID, silent_after: timedelta
) -> Row[Any] | None:
    """The SMTP account that a released message goes through; None if it is not ours."""
    return connection.execute(
        ROUTE, {"id": message_id, "lease": token, "silent_after": silent_after}
    ).one_or_none()


def claim(
    connection: Connection,
    message_id: int,
    token: uuid.UUID,
    *,
    server: str,
    worker: str,
    deadline: timedelta,
) -> Claim | None:
    """Take a released message for sending and open its attempt.

    Commit before the hand-over. The shared lock keeps a rebuild of the throttle's log
    from missing this attempt.

    Returns:
        None if it is not ours, or may not go now; in the second case it was moved on.
    """
    db.share_lock(connection, db.Lock.GENERATION)
    row = connection.execute(CLAIMABLE, {"id": message_id, "lease": token}).one_or_none()
    if row is None:
        return None
    if row.expired:
        overdue.expire_one(connection, message_id)
        return None
    obstacle = _obstacle(row, server)
    if obstacle is not None:
        _end(connection, message_id, "ready", obstacle)
        return None
    recipients = _recipients(connection, row)
    if recipients is None:
        return None
    claimed = _claimed(token, row, recipients)
    _open(connection, claimed, worker, deadline)
    return claimed


def _claimed(token: uuid.UUID, row: Row[Any], recipients: tuple[Recipient, ...]) -> Claim:
    return Claim(
        attempt=token,
        message_id=row.id,
        task_id=row.task_id,
        account_id=row.account_id,
        generation=row.generation,
        cadence=row.cadence,
        reserve=row.reserve,
        hourly_limit=row.hourly_limit,
        domain_hourly_limit=row.domain_hourly_limit,
        transactional=row.priority == Priority.TRANSACTIONAL,
        bulk=row.priority == Priority.BULK,
        recipients=recipients,
        row=row,
    )


def _obstacle(row: Row[Any], server: str) -> str | None:
    """Why the message must wait."""
    waiting = {
        "sending is stopped for the whole installation": row.stopped_at is not None,
        "its automatic task is paused": not row.active,
        "the OAC server is paused": row.paused,
        "its automatic task runs on another OAC server now": row.server != server,
        "its account is disabled": not row.enabled,
        "its automatic task falls back to that SMTP account no more": not row.on_its_way,
    }
    for why, holds in waiting.items():
        if holds:
            return why
    return None


def _recipients(connection: Connection, row: Row[Any]) -> tuple[Recipient, ...] | None:
    """The recipients, once suppressed ones are marked and the safety mode is applied."""
    rows = connection.execute(PENDING, {"id": row.id, "company": row.company_id}).all()
    pending = [r for r in rows if r.state == RecipientState.PENDING]
    barred = [r for r in pending if r.suppressed is not None]
    if barred:
        _suppress(connection, row.id, barred)
    left = {r.position for r in pending} - {r.position for r in barred}
    if not left:
        _end_without_recipients(connection, row.id, {r.state for r in rows}, bool(barred))
        return None
    unsafe = _unsafe(row, [r.address for r in rows if r.position in left])
    if unsafe is not None:
        _end(connection, row.id, "held", unsafe)
        return None
    return tuple(
        Recipient(r.position, r.kind, r.address, r.domain, r.cost, r.name, r.position in left)
        for r in rows
    )


def _unsafe(row: Row[Any], addresses: Sequence[str]) -> str | None:
    """Why the safety mode holds a message back."""
    if row.redirect_to is not None:
        is_sms = row.channel == Channel.SMS
        return "safety: mail is redirected, and an SMS cannot be" if is_sms else None
    if row.allowed is None or all(_allowed(one, row.allowed) for one in addresses):
        return None
    return "safety: a recipient is not on the list of allowed ones"


def _suppress(connection: Connection, message_id: int, barred: Sequence[Row[Any]]) -> None:
    connection.execute(
        SUPPRESS_RECIPIENTS,
        {
            "id": message_id,
            "positions": [r.position for r in barred],
            "reasons": [f"suppressed: {r.suppressed}" for r in barred],
        },
    )


def _allowed(address: str, allowed: Sequence[str]) -> bool:
    address = address.lower()
    return address in allowed or "@" + address.rpartition("@")[2] in allowed


def _end_without_recipients(
    connection: Connection, message_id: int, states: set[str], barred: bool
) -> None:
    """Nobody is left to write to: what became of those before, else suppressed."""
    why = "the remaining recipients are suppressed" if barred else "nobody is left to be reached"
    known = {RecipientState(state) for state in states} - OPEN_OR_REFUSED
    _end(connection, message_id, derive(known).value, why)


def _end(connection: Connection, message_id: int, state: str, why: str) -> None:
    connection.execute(
        END,
        {"id": message_id, "state": state, "why": why, "settled": state not in ("ready", "held")},
    )


def _open(connection: Connection, claimed: Claim, worker: str, deadline: timedelta) -> None:
    domains = claimed.domains
    values = {
        "id": claimed.message_id,
        "lease": claimed.attempt,
        "task": claimed.task_id,
        "account": claimed.account_id,
        "worker": worker,
        "deadline": deadline,
        "cost": sum(domains.values()),
        "domain": claimed.envelope[0].domain,
    }
    connection.execute(
        TO_SENDING, values | {"domains": json.dumps(domains) if len(domains) > 1 else None}
    )
    connection.execute(OPEN_ATTEMPT, values | {"domains": json.dumps(domains)})


def count_domains(recipients: Sequence[Recipient]) -> dict[str, int]:
    """What a permit for recipients costs, by domain."""
    counted: dict[str, int] = {}
    for one in recipients:
        counted[one.domain] = counted.get(one.domain, 0) + one.cost
    return counted
