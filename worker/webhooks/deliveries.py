"""What waits to be told: taking it under a lease, and noting what became of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from models.states import SLOVAK, MessageState
from worker import db
from worker.core.webhook_retry import Answer, Next, decide
from worker.core.webhook_signatures import Told

LEASE = timedelta(seconds=60)
"""Chosen: longer than any POST takes with its look-up; then the courier that took it is dead."""
AT_ONCE = 4
"""Chosen: POSTs to one webhook at a time, by all couriers together."""

# Row locks, so that couriers do not count each other's leases before they are committed. A state
# that is changing meanwhile is not held up: its foreign key takes a lesser lock. After a restore
# nobody is told before a person has released it: a copy that is only tried out must tell nothing.
LOCK_DUE = text("""
    SELECT w.id FROM webhook w CROSS JOIN LATERAL (
        SELECT d.next_at FROM webhook_delivery d
        WHERE d.webhook_id = w.id AND d.next_at <= clock_timestamp()
        ORDER BY d.next_at LIMIT 1) AS first
    WHERE w.active AND NOT EXISTS (SELECT FROM installation WHERE restored)
      AND (w.quiet_until IS NULL OR w.quiet_until <= clock_timestamp())
      AND (w.failures > 0) = :failing
      AND (SELECT count(*) FROM webhook_delivery l
           WHERE l.webhook_id = w.id AND l.lease IS NOT NULL
             AND l.next_at > clock_timestamp()) < :at_once
    ORDER BY first.next_at LIMIT :most
    FOR NO KEY UPDATE OF w SKIP LOCKED
""")

CLAIM = text("""
    WITH taken AS (
        SELECT due.webhook_id, due.event_id
        FROM unnest(CAST(:webhooks AS bigint[])) AS w(id)
        CROSS JOIN LATERAL (
            SELECT d.webhook_id, d.event_id FROM webhook_delivery d
            WHERE d.webhook_id = w.id AND d.next_at <= clock_timestamp()
            ORDER BY d.next_at, d.event_id
            LIMIT greatest(0, :at_once - (
                SELECT count(*) FROM webhook_delivery l
                WHERE l.webhook_id = w.id AND l.lease IS NOT NULL
                  AND l.next_at > clock_timestamp()))
            FOR UPDATE SKIP LOCKED) AS due
        LIMIT :most)
    UPDATE webhook_delivery d
    SET lease = :lease, next_at = clock_timestamp() + CAST(:lease_time AS interval),
        attempts = d.attempts + 1
    FROM taken t JOIN webhook w ON w.id = t.webhook_id JOIN webhook_event e ON e.id = t.event_id
    WHERE (d.webhook_id, d.event_id) = (t.webhook_id, t.event_id)
    RETURNING d.webhook_id, d.event_id, d.attempts, w.url, w.secret,
        CASE WHEN w.secret_before_until > clock_timestamp() THEN w.secret_before END
            AS secret_before,
        e.message_id, e.channel, e.state, e.reference, e.at
""")

SETTLE = text("""
    UPDATE webhook_delivery
    SET lease = NULL, next_at = :next_at, last_at = clock_timestamp(), last_status = :status,
        last_why = :why, delivered_at = CASE WHEN :taken THEN clock_timestamp() END
    WHERE webhook_id = :webhook AND event_id = :event AND lease = :lease
""")

RECOVERED = text("""
    UPDATE webhook SET failures = 0, failing_since = NULL, quiet_until = NULL
    WHERE id = :id AND failures > 0
""")

FAILED = text("""
    UPDATE webhook SET failures = failures + 1,
        failing_since = coalesce(failing_since, clock_timestamp())
    WHERE id = :id RETURNING failures, failing_since, active
""")

GIVE_BACK = text("""
    UPDATE webhook_delivery
    SET lease = NULL, attempts = attempts - 1,
        next_at = clock_timestamp() + CAST(:wait AS interval)
    WHERE webhook_id = :webhook AND event_id = :event AND lease = :lease
""")

QUIET = text("UPDATE webhook SET quiet_until = :until WHERE id = :id")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event that a courier is to tell one webhook.

    Attributes:
        webhook: its number.
        lease: the courier's token; without it nothing is noted.
        attempts: this one included.
        url: where to.
        secrets: sealed; the newest first.
        told: what happened.
        failing: the webhook has failed the last time.
    """

    webhook: int
    lease: uuid.UUID
    attempts: int
    url: str = field(repr=False)
    secrets: Sequence[bytes] = field(repr=False)
    told: Told
    failing: bool


def claim(connection: Connection, most: int, *, failing: bool) -> list[Delivery]:
    """Take up to so many deliveries that are due, those that have waited longest first.

    Args:
        connection: in a transaction of its own.
        most: how many.
        failing: of webhooks that failed the last time, one of each; else of the others.
    """
    at_once = 1 if failing else AT_ONCE
    values = {"failing": failing, "at_once": at_once, "most": most}
    webhooks = list(connection.execute(LOCK_DUE, values).scalars())
    if not webhooks:
        return []
    lease = uuid.uuid4()
    terms = {"webhooks": webhooks, "lease": lease, "lease_time": LEASE}
    rows = connection.execute(CLAIM, {**terms, "at_once": at_once, "most": most}).all()
    return [
        Delivery(
            webhook=row.webhook_id,
            lease=lease,
            attempts=row.attempts,
            url=row.url,
            secrets=[bytes(one) for one in (row.secret, row.secret_before) if one is not None],
            told=Told(
                row.event_id,
                row.message_id,
                row.channel,
                row.state,
                SLOVAK[MessageState(row.state)],
                row.reference,
                row.at,
            ),
            failing=failing,
        )
        for row in sorted(rows, key=lambda row: row.event_id)
    ]


def settle(
    connection: Connection, delivery: Delivery, answer: Answer, patience: timedelta, jitter: float
) -> str | None:
    """Note what became of a delivery.

    Args:
        connection: in a transaction of its own.
        delivery: as it was claimed; nothing is noted if the lease is another's by now.
        answer: what the receiver said.
        patience: a webhook that fails for longer is to be disabled.
        jitter: chance, 0 up to 1.

    Returns:
        Why the webhook is to be disabled now; None if it is not.
    """
    if answer.is_taken:
        connection.execute(RECOVERED, {"id": delivery.webhook})
        _note(connection, delivery, answer, None)
        return None
    row = connection.execute(FAILED, {"id": delivery.webhook}).one_or_none()
    if row is None:  # removed meanwhile, and the delivery with it
        return None
    following: Next = decide(
        answer,
        delivery.attempts,
        row.failures,
        row.failing_since,
        db.now(connection),
        patience,
        jitter,
    )
    _note(connection, delivery, answer, following.at)
    if following.quiet_until is not None:
        connection.execute(QUIET, {"id": delivery.webhook, "until": following.quiet_until})
    return following.disable if row.active else None


def give_back(connection: Connection, delivery: Delivery, wait: timedelta) -> None:
    """Put off what was not even tried, by no fault of the receiver's; no attempt is charged."""
    event = {"webhook": delivery.webhook, "event": delivery.told.event}
    connection.execute(GIVE_BACK, {**event, "lease": delivery.lease, "wait": wait})


def _note(
    connection: Connection, delivery: Delivery, answer: Answer, next_at: datetime | None
) -> None:
    values = {
        "webhook": delivery.webhook,
        "event": delivery.told.event,
        "lease": delivery.lease,
        "next_at": next_at,
        "status": answer.status,
        "why": answer.why,
        "taken": answer.is_taken,
    }
    connection.execute(SETTLE, values)
