"""What was told, what waits, what was given up; and telling it once more."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from worker.registers import audit
from worker.webhooks.register import KIND, Disabled, NotThere

LISTED = text("""
    SELECT d.event_id AS id, e.message_id, e.channel, e.state, e.reference, e.at,
        CASE WHEN d.delivered_at IS NOT NULL THEN 'delivered'
             WHEN d.next_at IS NOT NULL THEN 'waiting' ELSE 'given up' END AS standing,
        d.attempts, d.next_at, d.delivered_at, d.last_at, d.last_status, d.last_why
    FROM webhook_delivery d JOIN webhook_event e ON e.id = d.event_id
    WHERE d.webhook_id = :webhook AND d.event_id < :before
      AND (NOT :undelivered OR d.delivered_at IS NULL)
    ORDER BY d.event_id DESC LIMIT :most
""")

# A delivery that is under way stays as it is: it is being told just now.
AGAIN = text("""
    UPDATE webhook_delivery SET next_at = clock_timestamp(), attempts = 0, delivered_at = NULL
    WHERE webhook_id = :webhook AND event_id = :event AND lease IS NULL
""")

# Also what happened while the webhook was disabled, and got no delivery then.
ALL_AGAIN = text("""
    INSERT INTO webhook_delivery AS d (webhook_id, event_id)
    SELECT w.id, e.id FROM webhook w JOIN webhook_event e ON e.company_id = w.company_id
        AND e.state = ANY (w.events) AND e.channel = ANY (w.channels)
    WHERE w.id = :webhook AND e.at >= :since
    ORDER BY e.id
    ON CONFLICT (webhook_id, event_id) DO UPDATE
        SET next_at = clock_timestamp(), attempts = 0, delivered_at = NULL
        WHERE d.lease IS NULL AND (d.delivered_at IS NULL OR NOT :undelivered)
""")

EXISTS = text("""
    SELECT FROM webhook_delivery WHERE webhook_id = :webhook AND event_id = :event
""")

ID_MOST = 2**63 - 1


def deliveries(
    connection: Connection,
    webhook_id: int,
    before: int | None = None,
    most: int = 50,
    *,
    undelivered: bool = False,
) -> list[Row[Any]]:
    """A webhook's deliveries, the newest first; `id` is the event's number.

    Args:
        connection: the caller's transaction.
        webhook_id: one that is known to be the caller's.
        before: only numbers below.
        most: how many.
        undelivered: only what waits or was given up.
    """
    values = {"webhook": webhook_id, "before": ID_MOST if before is None else before}
    return list(connection.execute(LISTED, {**values, "most": most, "undelivered": undelivered}))


def replay(connection: Connection, webhook: Row[Any], event_id: int) -> None:
    """Tell one event once more, at once and with all its attempts; under the same id.

    Raises:
        Disabled: the webhook is.
        NotThere: it has no such delivery.
    """
    _refuse_disabled(webhook)
    values = {"webhook": webhook.id, "event": event_id}
    if connection.execute(EXISTS, values).one_or_none() is None:
        raise NotThere(
            f"webhook {webhook.id} has no delivery {event_id}",
            "see `kadencia webhook deliveries` for those there are",
        )
    connection.execute(AGAIN, values)
    audit.record(connection, "replay", f"{KIND}:{webhook.id}", after={"delivery": event_id})


def replay_since(
    connection: Connection, webhook: Row[Any], since: datetime, *, undelivered: bool = False
) -> int:
    """Tell all that has happened since a time, also while the webhook was disabled.

    Args:
        connection: the caller's transaction.
        webhook: as `find` returns it, locked.
        since: aware; what is older than retention is gone.
        undelivered: leave out what has been taken.

    Returns:
        How many events are told.

    Raises:
        Disabled: the webhook is.
    """
    _refuse_disabled(webhook)
    values = {"webhook": webhook.id, "since": since, "undelivered": undelivered}
    count = connection.execute(ALL_AGAIN, values).rowcount
    after = {"since": since.isoformat(), "events": count}
    audit.record(connection, "replay", f"{KIND}:{webhook.id}", after=after)
    return count


def _refuse_disabled(webhook: Row[Any]) -> None:
    if not webhook.active:
        raise Disabled(
            f"webhook {webhook.id} is disabled", "enable it first with `kadencia webhook enable`"
        )
