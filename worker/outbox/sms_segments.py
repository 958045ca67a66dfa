"""The segments of an SMS, and how the SMS follows what is reported on them.

As whoever settles, it locks the message's row first.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import MOVES, MessageState, RecipientState
from worker.core.sms_merge import Segment, State, merge_segment, total
from worker.core.sms_reports import Report
from worker.outbox import moving, people, sms_hand_overs, sms_money
from worker.outbox.answers import Recipients
from worker.outbox.sms_hand_overs import SEGMENTS, WAITING, HandOver, part_name, to_segment

M, R = MessageState, RecipientState

MESSAGE = text("""
    SELECT m.*, s.segments, s.sent_at, s.unconfirmed_at
    FROM message m JOIN sms s ON s.message_id = m.id WHERE m.id = :id FOR UPDATE OF m
""")

SAME_INTEGRATION = """EXISTS (
    SELECT FROM eurosms_account theirs
    JOIN eurosms_account ours ON ours.base_url = theirs.base_url
        AND ours.integration_id = theirs.integration_id
    JOIN account a ON a.id = ours.account_id
    WHERE theirs.account_id = {account} AND a.company_id = m.company_id)"""
"""SQL: whether the account of a report can report on the message m: of a company that shares its
integration ID. The secret path of one company must not tell of the SMS of another."""

ADD = text("""
    INSERT INTO sms_segment AS s (uuid, message_id, attempt_id, number, estimate)
    VALUES (:uuid, :id, :attempt, :number, :estimate)
    ON CONFLICT (uuid) DO UPDATE
    SET attempt_id = excluded.attempt_id, estimate = excluded.estimate
    WHERE s.message_id = excluded.message_id
""")

# What a report named while this attempt was open, and its answer does not, is of one before.
PART_FROM = text("""
    UPDATE sms_segment s SET attempt_id = before.id
    FROM (SELECT id FROM attempt WHERE message_id = :id AND state = 'unknown' AND id <> :attempt
          ORDER BY opened_at DESC LIMIT 1) AS before
    WHERE s.attempt_id = :attempt AND NOT s.uuid = ANY (CAST(:uuids AS text[]))
    RETURNING s.attempt_id
""")

EARLY = text(f"""
    UPDATE delivery_report d SET message_id = m.id FROM message m
    WHERE m.id = :id AND d.uuid = ANY (CAST(:uuids AS text[])) AND d.message_id IS NULL
      AND {SAME_INTEGRATION.format(account="d.account_id")}
    RETURNING d.*
""")  # noqa: S608  no value of anybody's is in it

# Of which hand-over a report is whose uuid no answer has named: of one without an answer.
UNNAMED = text("""
    SELECT id FROM attempt WHERE message_id = :id AND state IN ('open', 'unknown', 'accepted')
    ORDER BY state = 'accepted', opened_at DESC LIMIT 1
""")

WRITE = text("""
    INSERT INTO sms_segment AS s (uuid, message_id, attempt_id, number, status, status_at, sent_at,
        delivered_at, read_at, operator, price, estimate)
    VALUES (:uuid, :id, :attempt, :number, :status, :status_at, :sent_at, :delivered_at, :read_at,
        :operator, :price, coalesce(
            (SELECT max(o.estimate) FROM sms_segment o WHERE o.attempt_id = :attempt),
            (SELECT a.price / a.cost FROM attempt a WHERE a.id = :attempt)))
    ON CONFLICT (uuid) DO UPDATE
    SET status = excluded.status, status_at = excluded.status_at, sent_at = excluded.sent_at,
        delivered_at = excluded.delivered_at, read_at = excluded.read_at,
        operator = excluded.operator, price = excluded.price
    WHERE s.message_id = excluded.message_id
""")

# Reports that came while an attempt was open which, as it turned out, reached nobody.
RETURN_STRAYS = text("""
    UPDATE sms_segment s SET attempt_id = (
        SELECT id FROM attempt WHERE message_id = :id AND state IN ('unknown', 'open')
        ORDER BY opened_at DESC LIMIT 1)
    FROM attempt a
    WHERE s.message_id = :id AND a.id = s.attempt_id
      AND a.state IN ('void', 'deferred', 'rejected')
    RETURNING s.attempt_id
""")

SHOW = text("""
    UPDATE sms SET sent_at = coalesce(:sent_at, sent_at), delivered_at = :delivered_at,
        read_at = :read_at, status = :status, operator = :operator, price = :price,
        awaited = :awaited, unconfirmed_at = CASE WHEN :unconfirmed THEN unconfirmed_at END
    WHERE message_id = :id
""")

PRICES = text("SELECT price FROM sms_segment WHERE message_id = :id")

ENDED = frozenset({M.SENT, M.DELIVERED, M.UNDELIVERED})
REACHED = {
    State.SENT: (M.SENT, R.SENT),
    State.DELIVERED: (M.DELIVERED, R.DELIVERED),
    State.UNDELIVERED: (M.UNDELIVERED, R.UNDELIVERED),
}


@dataclass(slots=True)
class _Known:
    """A segment as it is being changed."""

    attempt: uuid.UUID | None
    number: int
    segment: Segment


def add(
    connection: Connection,
    message_id: int,
    attempt_id: uuid.UUID,
    uuids: Sequence[str],
    estimate: Decimal | None,
) -> None:
    """Keep what the gateway called the segments that it took, and heed reports that came before.

    Args:
        connection: of the settling, which holds the message's row; `follow` comes next.
        message_id: the message.
        attempt_id: the accepted attempt.
        uuids: in the order of the segments.
        estimate: EUR for each of them; None if nothing is known of it.
    """
    names = [one.lower() for one in uuids]
    of = {"id": message_id, "attempt": attempt_id, "uuids": names}
    for number, name in enumerate(names, start=1):
        values = {**of, "uuid": name, "number": number, "estimate": estimate}
        connection.execute(ADD, values)
    parted = set(connection.execute(PART_FROM, of).scalars())
    early = [sms_hand_overs.to_report(one) for one in connection.execute(EARLY, of)]
    priced = take(connection, message_id, early)
    sms_money.correct(connection, parted | priced | ({attempt_id} if parted else set()))


def take(connection: Connection, message_id: int, reports: Iterable[Report]) -> set[uuid.UUID]:
    """Write what reports say to the segments of their SMS.

    Args:
        connection: within a transaction that holds the message's row.
        message_id: the message.
        reports: all on this SMS.

    Returns:
        The attempts whose prices have changed by it, for `sms_money.correct`.
    """
    rows = connection.execute(SEGMENTS, {"id": message_id}).all()
    known = {row.uuid: _Known(row.attempt_id, row.number, to_segment(row)) for row in rows}
    unnamed, priced = None, set()
    for report in reports:
        name = _name(report, known)
        if name not in known:
            unnamed = unnamed or connection.execute(UNNAMED, {"id": message_id}).scalar()
            known[name] = _Known(unnamed, report.segment, Segment())
        one = known[name]
        merged = merge_segment(one.segment, report)
        if merged.price != one.segment.price and one.attempt is not None:
            priced.add(one.attempt)
        if merged != one.segment:
            one.segment = merged
            of = {"id": message_id, "uuid": name, "attempt": one.attempt, "number": one.number}
            connection.execute(WRITE, of | asdict(merged))
    return priced


def _name(report: Report, known: dict[str, _Known]) -> str:
    """What the segment is called that a report is about.

    Some answers have one uuid for all segments of an SMS: then its number tells them apart. A
    number that differs where each segment has a uuid is only another way to count.
    """
    if report.uuid is None:
        same = [name for name, one in known.items() if one.number == report.segment]
        return same[-1] if same else part_name(report.own_key or "", report.segment)
    there = known.get(report.uuid)
    if there is None or there.number == report.segment:
        return report.uuid
    others = {o.number for n, o in known.items() if n != report.uuid and o.attempt == there.attempt}
    part = part_name(report.uuid, report.segment)
    return report.uuid if report.segment in others and part not in known else part


def follow(connection: Connection, message_id: int) -> str | None:
    """Show what reports say of an SMS, and move it and its recipient on by them.

    While it is being sent, nothing is done: whoever settles it calls this again.

    Args:
        connection: within a transaction; the message's row is locked.
        message_id: the message.

    Returns:
        The message's new state; None if it stays.
    """
    state, priced = follow_unpriced(connection, message_id)
    sms_money.correct(connection, priced)
    return state


def follow_unpriced(connection: Connection, message_id: int) -> tuple[str | None, set[uuid.UUID]]:
    """As `follow`, for a caller that has more messages to lock before any budget.

    Returns:
        The message's new state, and the attempts that are left for `sms_money.correct`.
    """
    row = connection.execute(MESSAGE, {"id": message_id}).one_or_none()
    if row is None or row.state == M.SENDING:
        return None, set()
    strays = set(connection.execute(RETURN_STRAYS, {"id": message_id}).scalars()) - {None}
    hand_overs = sms_hand_overs.read(connection, row)
    before = after = M(row.state)
    deciding = _deciding(before, hand_overs)
    if deciding is not None and REACHED[deciding.whole.state][0] in MOVES[before]:
        after = _move(connection, row, deciding)
    if deciding is None and not (after in WAITING or after is M.UNKNOWN):
        deciding = next(iter(hand_overs), None)  # evidence; what waits has none of its own yet
    if deciding is not None:
        _show(connection, row, after, deciding)
    return None if after is before else after.value, strays


def _deciding(state: MessageState, hand_overs: Sequence[HandOver]) -> HandOver | None:
    """The hand-over by which the message stands or moves; None if none was reported on.

    What was known when it was decided to send the SMS once more does not undo that decision.
    """
    fresh = [one for one in hand_overs if one.has_news]
    delivered = [one for one in fresh if one.delivered]
    if state in ENDED:
        newest = list(hand_overs[:1])
        if newest and newest[0].whole.state is State.UNDELIVERED:
            delivered += [one for one in hand_overs if one.delivered]
        chosen = delivered + newest
    elif state in WAITING or state is M.UNKNOWN:
        chosen = delivered + [one for one in fresh if not one.answered]
    else:
        chosen = delivered
    return next((one for one in chosen if one.whole.state is not State.OPEN), None)


def _move(connection: Connection, row: Row[Any], deciding: HandOver) -> MessageState:
    state, recipient = REACHED[deciding.whole.state]
    words = f"delivery report: {deciding.whole.status or 'no status'}"
    recipients = Recipients(connection, row.id)
    for position, there in recipients.states.items():
        if there is not R.SUPPRESSED:
            recipients.put(position, recipient, words)
    recipients.write()
    moving.move(connection, row, state, why=words, attempts=row.attempts, unknowns=row.unknowns)
    connection.execute(
        people.AUDIT,
        {
            "action": "receipt",
            "id": row.id,
            "before": json.dumps({"state": row.state}),
            "after": json.dumps({"state": state, "receipts": [deciding.whole.status]}),
        },
    )
    return state


def _show(connection: Connection, row: Row[Any], state: MessageState, deciding: HandOver) -> None:
    """Write to `sms` what its segments make of it."""
    whole, sent_at = deciding.whole, deciding.sent_at or row.sent_at
    is_open = whole.state in (State.OPEN, State.SENT)
    given_up = row.unconfirmed_at is not None and (
        sent_at is None or row.unconfirmed_at >= sent_at  # else it was sent once more since
    )
    connection.execute(
        SHOW,
        {
            "id": row.id,
            "sent_at": sent_at,
            "delivered_at": whole.delivered_at,
            "read_at": whole.read_at,
            "status": whole.status,
            "operator": whole.operator,
            "price": total(connection.execute(PRICES, {"id": row.id}).scalars()),
            "awaited": state is M.SENT and is_open and not given_up,
            "unconfirmed": is_open and given_up,
        },
    )
