"""Looking at messages for one company: whatever is asked, no query sees another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import Channel

COLUMNS = """
    m.id, m.state, m.why, m.priority, m.created_at, m.not_before, m.expires_at, m.settled_at,
    m.attempts, m.reference, m.idempotency_key, m.subject, m.message_id, m.task_id,
    coalesce(t.name, n.name) AS task, e.name AS establishment,
    s.text, coalesce(s.sender, k.sender) AS sender, s.encoding, s.segments, s.price, s.operator,
    s.sent_at, s.delivered_at
"""

# A lane names the task that the enqueuer named; the message the one that released it last.
JOINED = """
    message m
    JOIN lane l ON l.id = m.lane_id
    LEFT JOIN establishment e ON e.id = l.establishment_id
    LEFT JOIN automatic_task n ON n.id = l.task_id
    LEFT JOIN automatic_task t ON t.id = m.task_id
    {sms} sms s ON s.message_id = m.id
    LEFT JOIN sms_task k ON k.task_id = m.task_id
"""

OWN = "m.company_id = :company AND m.channel = :channel"

ONE = text(f"""
    SELECT {COLUMNS} FROM {JOINED.format(sms="LEFT JOIN")} WHERE m.id = :id AND {OWN}
""")  # noqa: S608  constants

# Keyset paging: each page starts below the last id of the one before. SMS are read in the order of
# `sms`: however many e-mails are newer, a page reads no more than its rows.
LIST = """
    SELECT {columns} FROM {joined} WHERE {own} {conditions} ORDER BY {id} DESC LIMIT :limit
"""

CONDITIONS = {
    "before": "AND {id} < :before",
    "state": "AND m.state = :state",
    "reference": "AND m.reference = :reference",
    "since": "AND m.created_at >= :since",
}

IS_OWN = text(f"SELECT EXISTS (SELECT FROM message m WHERE m.id = :id AND {OWN})")  # noqa: S608

RECIPIENTS = text(f"""
    SELECT r.message_id, r.position, r.kind, r.address, r.name, r.state, r.reply
    FROM recipient r JOIN message m ON m.id = r.message_id
    WHERE r.message_id = ANY (CAST(:ids AS bigint[])) AND {OWN}
    ORDER BY r.message_id, r.position
""")  # noqa: S608  constants

FILES = text(f"""
    SELECT f.filename, f.content_type, f.content_id, octet_length(a.data) AS size,
        encode(a.digest, 'hex') AS attachment
    FROM message m
    JOIN body_attachment f ON f.body_id = m.body_id
    JOIN attachment a ON a.id = f.attachment_id
    WHERE m.id = :id AND {OWN} ORDER BY f.position
""")  # noqa: S608  constants

ATTEMPTS = text(f"""
    SELECT a.id, a.state, a.opened_at, a.closed_at, t.name AS task, c.name AS account, a.cost,
        a.phase, a.code, a.enhanced, a.text, a.replies, a.price
    FROM attempt a
    JOIN message m ON m.id = a.message_id
    JOIN automatic_task t ON t.id = a.task_id
    JOIN account c ON c.id = a.account_id
    WHERE a.message_id = :id AND {OWN} ORDER BY a.opened_at
""")  # noqa: S608  constants


@dataclass(frozen=True, slots=True)
class Page:
    """Which messages to list; what is None does not narrow it.

    Attributes:
        before: only ids below this one: the last of the page before.
        since: enqueued then or later; aware.
        limit: how many at most.
    """

    before: int | None = None
    state: str | None = None
    reference: str | None = None
    since: datetime | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Own:
    """The messages of one company over one channel.

    Args:
        connection: any.
        company: whose.
        channel: over what they go.
    """

    connection: Connection
    company: int
    channel: Channel

    def find(self, page: Page) -> Sequence[Row[Any]]:
        """The newest that fit, newest first."""
        values = {name: getattr(page, name) for name in CONDITIONS}
        given = [CONDITIONS[name] for name, value in values.items() if value is not None]
        is_sms = self.channel is Channel.SMS
        order = "s.message_id" if is_sms else "m.id"
        query = LIST.format(
            columns=COLUMNS,
            joined=JOINED.format(sms="JOIN" if is_sms else "LEFT JOIN"),
            own=OWN,
            conditions=" ".join(given).format(id=order),
            id=order,
        )
        return self.connection.execute(text(query), self._with(**values, limit=page.limit)).all()

    def one(self, message_id: int) -> Row[Any] | None:
        """One message; None if the company has none of that id."""
        return self.connection.execute(ONE, self._with(id=message_id)).one_or_none()

    def has(self, message_id: int) -> bool:
        """Whether there is one of that id."""
        return bool(self.connection.execute(IS_OWN, self._with(id=message_id)).scalar_one())

    def recipients(self, ids: Sequence[int]) -> Sequence[Row[Any]]:
        """The recipients of messages, in order."""
        return self.connection.execute(RECIPIENTS, self._with(ids=list(ids))).all()

    def files(self, message_id: int) -> Sequence[Row[Any]]:
        """The attachments of an e-mail whose body is kept still, without their octets."""
        return self.connection.execute(FILES, self._with(id=message_id)).all()

    def attempts(self, message_id: int) -> Sequence[Row[Any]]:
        """Every attempt, oldest first."""
        return self.connection.execute(ATTEMPTS, self._with(id=message_id)).all()

    def _with(self, **values: Any) -> dict[str, Any]:
        return {"company": self.company, "channel": self.channel.value, **values}
