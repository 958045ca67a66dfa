"""What is known of each hand-over of an SMS by the reports on its segments; it changes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import AttemptState, MessageState
from worker.core.sms_merge import Segment, State, Whole, merge_message, merge_segment
from worker.core.sms_reports import Report

ATTEMPTS = text("""
    SELECT id, state, opened_at, closed_at FROM attempt
    WHERE message_id = :id AND state IN ('open', 'accepted', 'unknown')
    ORDER BY opened_at DESC
""")

SEGMENTS = text("SELECT * FROM sms_segment WHERE message_id = :id ORDER BY number, uuid")

# A person who sends it once more has decided upon all that had been reported by then.
RESENT_AT = text("""
    SELECT max(at) FROM audit_log
    WHERE subject = 'message:' || :id AND action IN ('resend', 'resolve by resending')
""")

REPORTED_BEFORE = text("SELECT * FROM delivery_report WHERE message_id = :id AND at <= :at")

# A day more than the 7 for which the gateway keeps reports.
AWAITED = text("""
    SELECT count(DISTINCT m.id) FROM attempt a
    JOIN message m ON m.id = a.message_id JOIN sms s ON s.message_id = m.id
    WHERE a.account_id = :account AND a.opened_at > statement_timestamp() - interval '8 days'
      AND a.state IN ('open', 'accepted', 'unknown')
      AND (s.awaited OR m.state IN ('sending', 'unknown'))
""")

WAITING = frozenset({MessageState.READY, MessageState.RELEASED, MessageState.HELD})


@dataclass(frozen=True, slots=True)
class HandOver:
    """One hand-over that may have gone, or did.

    Attributes:
        attempt: its row; None if no attempt is known of which its reports can be.
        whole: what is known of it.
        before: the same when it was last decided to send the SMS once more.
    """

    attempt: Row[Any] | None
    whole: Whole
    before: State

    @property
    def answered(self) -> bool:
        """Whether the gateway's own answer said that it took it."""
        return self.attempt is not None and self.attempt.state == AttemptState.ACCEPTED

    @property
    def delivered(self) -> bool:
        """Whether it is delivered, as its reports say."""
        return self.whole.state is State.DELIVERED

    @property
    def has_news(self) -> bool:
        """Whether it stands otherwise than when it was decided to send the SMS once more."""
        return self.whole.state is not self.before

    @property
    def sent_at(self) -> datetime | None:
        """When the gateway accepted it; without its answer, as reports say, or the attempt."""
        if self.attempt is None:
            return self.whole.sent_at
        if self.answered:
            at: datetime | None = self.attempt.closed_at
            return at
        return self.whole.sent_at or self.attempt.opened_at


def read(connection: Connection, row: Row[Any]) -> list[HandOver]:
    """The hand-overs of an SMS that were answered or reported on, newest first.

    Args:
        connection: within a transaction that holds the message's row.
        row: the message, with the number of its `segments`.
    """
    attempts = connection.execute(ATTEMPTS, {"id": row.id}).all()
    segments = connection.execute(SEGMENTS, {"id": row.id}).all()
    before = _before(connection, row, len(attempts))
    return list(_hand_overs(attempts, segments, before, row.segments))


def awaited(connection: Connection, account_id: int) -> int:
    """Of how many SMS that went over an account, or may have, reports are still to come."""
    found: int = connection.execute(AWAITED, {"account": account_id}).scalar_one()
    return found


def to_segment(row: Row[Any] | None) -> Segment:
    """A segment's row as what is known of it; nothing if there is none."""
    if row is None:
        return Segment()
    return Segment(
        status=row.status,
        status_at=row.status_at,
        sent_at=row.sent_at,
        delivered_at=row.delivered_at,
        read_at=row.read_at,
        operator=row.operator,
        price=row.price,
    )


def to_report(row: Row[Any]) -> Report:
    """A report as it was kept."""
    return Report(
        uuid=row.uuid,
        own_key=row.own_key,
        number=row.number,
        segment=row.segment,
        status=row.status,
        done_at=row.status_at,
        sent_at=row.sent_at,
        operator=row.operator,
        price=row.price,
        err_code="",
    )


def part_name(name: str, number: int) -> str:
    """What a segment is called whose uuid is another's as well.

    >>> part_name("d0e17e57", 2)
    'd0e17e57/2'
    """
    return f"{name}/{number}"


def _hand_overs(
    attempts: Sequence[Row[Any]],
    segments: Sequence[Row[Any]],
    before: dict[str, Segment],
    planned: int,
) -> Iterable[HandOver]:
    known = {attempt.id for attempt in attempts}
    for attempt in (*attempts, None):
        own = [one for one in segments if _is_of(one, attempt, known)]
        answered = attempt is not None and attempt.state == AttemptState.ACCEPTED
        if own or answered:
            # How many an accepted SMS has, the gateway says; of another, we must suppose it.
            expected = len(own) if answered else planned
            yield HandOver(
                attempt,
                merge_message([to_segment(one) for one in own], expected),
                merge_message([before.get(one.uuid, Segment()) for one in own], expected).state,
            )


def _is_of(segment: Row[Any], attempt: Row[Any] | None, known: set[uuid.UUID]) -> bool:
    if attempt is None:
        return segment.attempt_id not in known
    return bool(segment.attempt_id == attempt.id)


def _before(connection: Connection, row: Row[Any], attempts: int) -> dict[str, Segment]:
    """What was known of each segment when a person last decided to send the SMS once more."""
    if row.state not in WAITING and attempts < 2:
        return {}  # it cannot have been
    at = connection.execute(RESENT_AT, {"id": row.id}).scalar()
    found: dict[str, Segment] = {}
    for one in connection.execute(REPORTED_BEFORE, {"id": row.id, "at": at}) if at else ():
        report = to_report(one)
        for name in (one.uuid, part_name(one.uuid or one.own_key, one.segment)):
            if name is not None:
                found[name] = merge_segment(found.get(name, Segment()), report)
    return found
