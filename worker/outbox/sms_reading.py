"""Looking at SMS: listing them, and what one's segments and delivery reports say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from worker.outbox.reading import CONDITIONS, Wanted

SHOWN = """
    s.text, coalesce(s.sender, k.sender) AS sender, s.encoding, s.segments, s.sent_at,
    s.delivered_at, s.read_at, s.status, s.operator, s.price, s.awaited, s.unconfirmed_at
"""

# From `sms`, not `message`: however many e-mails are newer, a page reads no more than its rows.
LIST = """
    SELECT m.id, m.state, m.why, m.created_at, m.not_before, m.settled_at, m.priority, m.attempts,
        m.reference, m.idempotency_key, c.name AS company, c.time_zone, t.name AS task,
        (SELECT r.address FROM recipient r WHERE r.message_id = m.id) AS number, {shown}
    FROM sms s
    JOIN message m ON m.id = s.message_id
    JOIN company c ON c.id = m.company_id
    LEFT JOIN automatic_task t ON t.id = m.task_id
    LEFT JOIN sms_task k ON k.task_id = m.task_id
    WHERE {conditions}
    ORDER BY s.message_id DESC LIMIT :limit
"""

OF_SMS = CONDITIONS | {"before": "s.message_id < :before"}

SMS = text(f"""
    SELECT {SHOWN}
    FROM sms s
    JOIN message m ON m.id = s.message_id
    LEFT JOIN sms_task k ON k.task_id = m.task_id
    WHERE s.message_id = :id
""")  # noqa: S608  no value of anybody's is in it

SEGMENTS = text("""
    SELECT g.number, g.uuid, g.status, g.status_at, g.sent_at, g.delivered_at, g.read_at,
        g.operator, g.price, g.estimate, g.attempt_id
    FROM sms_segment g
    LEFT JOIN attempt a ON a.id = g.attempt_id
    WHERE g.message_id = :id ORDER BY a.opened_at, g.number, g.uuid
""")

REPORTS = text("""
    SELECT at, source, uuid, segment, status, status_at, sent_at, operator, price
    FROM delivery_report WHERE message_id = :id ORDER BY id
""")

ATTEMPTS = text("""
    SELECT a.id, a.state, a.opened_at, a.closed_at, a.worker, t.name AS task,
        c.name AS account, a.cost AS segments, a.price, a.phase, a.code, a.text
    FROM attempt a
    JOIN automatic_task t ON t.id = a.task_id
    JOIN account c ON c.id = a.account_id
    WHERE a.message_id = :id ORDER BY a.opened_at
""")


# The newest first, by the primary key.
INBOX = text("""
    SELECT i.id, i.at, i.received_at, i.sender, i.recipient, i.text, i.stop, a.name AS account,
        c.name AS company, c.time_zone
    FROM inbound_sms i
    JOIN account a ON a.id = i.account_id
    JOIN company c ON c.id = a.company_id
    WHERE coalesce(a.company_id = CAST(:company AS bigint), true)
      AND coalesce(i.id < CAST(:before AS bigint), true)
    ORDER BY i.id DESC LIMIT :limit
""")


def find(connection: Connection, wanted: Wanted) -> Sequence[Row[Any]]:
    """The newest SMS that fit, newest first; `wanted.recipient` is a number."""
    values = {name: getattr(wanted, name) for name in OF_SMS}
    given = [OF_SMS[name] for name, value in values.items() if value is not None]
    query = text(LIST.format(shown=SHOWN, conditions=" AND ".join(given) or "true"))
    return connection.execute(query, values | {"limit": wanted.limit}).all()


def sms(connection: Connection, message_id: int) -> Row[Any]:
    """The text of an SMS, and what its reports have shown."""
    return connection.execute(SMS, {"id": message_id}).one()


def segments(connection: Connection, message_id: int) -> Sequence[Row[Any]]:
    """Its segments at the gateway, those of the first attempt first."""
    return connection.execute(SEGMENTS, {"id": message_id}).all()


def reports(connection: Connection, message_id: int) -> Sequence[Row[Any]]:
    """Its delivery reports, in the order in which they came."""
    return connection.execute(REPORTS, {"id": message_id}).all()


def attempts(connection: Connection, message_id: int) -> Sequence[Row[Any]]:
    """Every attempt, oldest first; what each was thought to cost, or has cost."""
    return connection.execute(ATTEMPTS, {"id": message_id}).all()


def inbox(
    connection: Connection, company: int | None, before: int | None, limit: int
) -> Sequence[Row[Any]]:
    """SMS that came in, newest first, of one company or of all; with ids below `before`."""
    values = {"company": company, "before": before, "limit": limit}
    return connection.execute(INBOX, values).all()
