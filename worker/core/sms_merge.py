"""From delivery reports to segments, and from segments to one honest state of the SMS.

Reports come late, twice, and in any order. What they make of a segment does not depend on that:
each value of a segment is the least or the greatest of those reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from worker.core.sms_reports import Meaning, Report, delivery_status

_NEVER = datetime.min.replace(tzinfo=UTC)


class State(StrEnum):
    """What reports make of an SMS."""

    OPEN = "open"
    """No report yet."""
    SENT = "sent"
    """It went; what became of it is open."""
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, slots=True)
class Segment:
    """What is known of one segment.

    Attributes:
        status: the gateway's word that weighs most; None if nothing was reported, "" if there
            was a report without a word.
        status_at: when it was reached; None if not stated, as all that may be None.
        sent_at: the earliest reported.
        delivered_at: of the earliest delivery.
        read_at: when it was first seen to be read.
        operator: MCC.MNC. Where reports differ, the greater, as of the price.
        price: EUR.
    """

    status: str | None = None
    status_at: datetime | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    operator: str | None = None
    price: Decimal | None = None

    @property
    def meaning(self) -> Meaning:
        """What its status says."""
        return delivery_status(self.status or "").meaning


@dataclass(frozen=True, slots=True)
class Whole:
    """What is known of one hand-over of an SMS.

    Attributes:
        state: of all its segments together.
        status: the gateway's word on the segment that decides.
        sent_at: when the first segment was sent.
        delivered_at: when the last one was delivered, once all are.
        read_at: when the last one was read.
        operator: MCC.MNC.
        price: EUR, of all segments whose price is known; None if none is.
    """

    state: State
    status: str | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    operator: str | None = None
    price: Decimal | None = None


def merge_segment(known: Segment, report: Report) -> Segment:
    """Add what a report says to what is known of its segment.

    A word that is not final never replaces one that is; of two finals a delivery wins, then the
    later. UNKNOWN gives way to any other final word. Whoever has read it has it.

    >>> from worker.core.sms_reports import read_push
    >>> from zoneinfo import ZoneInfo
    >>> late = read_push({"sms_uuid": "a", "delivery_result": "ENROUTE"}, ZoneInfo("UTC"))
    >>> merge_segment(Segment(status="DELIVRD"), late).status
    'DELIVRD'
    """
    said = delivery_status(report.status).meaning
    word = max(
        (known.status, known.status_at), (report.status, report.done_at), key=lambda w: _weight(*w)
    )
    return Segment(
        status=word[0],
        status_at=word[1],
        sent_at=_pick(min, known.sent_at, report.sent_at),
        delivered_at=_pick(
            min, known.delivered_at, report.done_at if said is Meaning.DELIVERED else None
        ),
        read_at=_pick(min, known.read_at, report.done_at if said is Meaning.SEEN else None),
        operator=_pick(max, known.operator, report.operator),
        price=_pick(max, known.price, report.price),
    )


def merge_message(segments: Sequence[Segment], expected: int) -> Whole:
    """What the segments of one hand-over make of the SMS.

    Args:
        segments: those that are known.
        expected: how many there must be; those that are missing count as open.

    >>> merge_message([Segment(status="DELIVRD")], expected=2).state
    <State.SENT: 'sent'>
    """
    state = _state(segments, expected)
    delivered = [_pick(min, one.delivered_at, one.read_at) for one in segments]
    return Whole(
        state=state,
        status=_deciding(segments, state),
        sent_at=_pick(min, *(one.sent_at for one in segments)),
        delivered_at=_pick(max, *delivered) if state is State.DELIVERED else None,
        read_at=_pick(max, *(one.read_at for one in segments)),
        operator=_pick(max, *(one.operator for one in segments)),
        price=total(one.price for one in segments),
    )


def total(prices: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of the prices that are known; None if none is.

    >>> total([None, Decimal("0.03")]), total([None])
    (Decimal('0.03'), None)
    """
    known = [price for price in prices if price is not None]
    return sum(known, Decimal(0)) if known else None


def _state(segments: Sequence[Segment], expected: int) -> State:
    if all(one.status is None for one in segments):
        return State.OPEN
    meanings = {one.meaning for one in segments}
    if Meaning.OPEN in meanings or len(segments) < expected:
        return State.SENT
    return State.UNDELIVERED if Meaning.UNDELIVERED in meanings else State.DELIVERED


def _deciding(segments: Sequence[Segment], state: State) -> str | None:
    """The least advanced where something is open, the worst where it is not, else the best."""
    reported = [one for one in segments if one.status is not None]
    if state is State.UNDELIVERED:
        reported = [one for one in reported if one.meaning is Meaning.UNDELIVERED]
    if not reported:
        return None
    choose = min if state is State.SENT else max
    return choose(reported, key=lambda one: _weight(one.status, one.status_at)).status or None


def _weight(status: str | None, at: datetime | None) -> tuple[int, datetime, str]:
    """Orders words: whatever weighs more stays."""
    if not status:
        return (-1 if status is None else 0, at or _NEVER, "")
    known = delivery_status(status)
    rank = {Meaning.OPEN: 1, Meaning.UNDELIVERED: 2, Meaning.DELIVERED: 4, Meaning.SEEN: 5}
    final = known.meaning is Meaning.UNDELIVERED and known.final
    return (rank[known.meaning] + final, at or _NEVER, status)


def _pick(choose: Callable[..., Any], *values: Any) -> Any:
    """The least or greatest of those that are known."""
    known = [value for value in values if value is not None]
    return choose(known) if known else None
