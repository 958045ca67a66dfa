"""Closing attempts and moving their messages on. Whatever the message's state, evidence is kept.

Always the message's row is locked first, then the attempt's: all who settle wait for each other
in one order.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import Channel, MessageState, RecipientState, derive
from worker import db
from worker.core.outcomes import Outcome
from worker.core.retry import Next, RetryPolicy, decide, resend_unknown
from worker.outbox import leases, moving, sms_polls, sms_settling
from worker.outbox.answers import Answer, RecipientAnswer, Recipients, replies_of

MESSAGE = """
    SELECT m.*, t.retry_first, t.retry_longest, t.most_attempts, t.unknown_policy
    FROM message m JOIN automatic_task t ON t.id = m.task_id
    WHERE m.id = {} FOR UPDATE OF m
"""
BY_ID = text(MESSAGE.format(":id"))
BY_ATTEMPT = text(MESSAGE.format("(SELECT a.message_id FROM attempt a WHERE a.id = :attempt)"))

LAST_ATTEMPT = text("""
    SELECT id FROM attempt WHERE message_id = :id ORDER BY opened_at DESC LIMIT 1
""")

CLOSE_ATTEMPT = text("""
    UPDATE attempt SET state = :state, closed_at = clock_timestamp() - CAST(:ago AS interval),
        phase = :phase, code = :code,
        enhanced = :enhanced, text = :text, replies = CAST(:replies AS jsonb)
    WHERE id = :id AND state IN ('open', 'unknown')
""")

VOID_ATTEMPT = text("""
    UPDATE attempt SET state = 'void', closed_at = clock_timestamp(), text = :why
    WHERE id = :id AND state = 'open'
""")

LOCK = text("SELECT channel FROM message WHERE id = :id FOR UPDATE")
WHOSE = text("SELECT worker FROM attempt WHERE id = :id")

UNDECIDED = frozenset(
    {MessageState.READY, MessageState.RELEASED, MessageState.HELD, MessageState.UNKNOWN}
)
"""Where a message may stand when its mail turns out to have been accepted long ago."""


def settle(
    connection: Connection,
    attempt: uuid.UUID,
    answer: Answer,
    jitter: float,
    ago: timedelta = timedelta(0),
) -> str | None:
    """Close an attempt with the far side's answer and move its message on.

    An answer that comes after the message was taken for unknown still counts; one that
    comes after a resend was decided counts if it says accepted. Repeating it is harmless.

    Args:
        connection: commit at once after it.
        attempt: the attempt's id.
        answer: the far side's.
        jitter: chance for the back-off, 0 up to 1.
        ago: how long ago the answer came; the database may have been away since.

    Returns:
        The message's new state; None if it was not this attempt's to move.
    """
    row = connection.execute(BY_ATTEMPT, {"attempt": attempt}).one_or_none()
    if row is None or not _close(connection, attempt, answer, ago):
        return None
    state = _move_on(connection, row, attempt, answer, jitter)
    state = _followed(connection, row, attempt, answer) or state
    if row.channel == Channel.SMS and answer.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN):
        sms_polls.expect(connection, attempt)
    return state


def _move_on(
    connection: Connection, row: Row[Any], attempt: uuid.UUID, answer: Answer, jitter: float
) -> str | None:
    if row.lease == attempt and row.state == MessageState.SENDING:
        return _apply(connection, row, answer, jitter, charge=answer.charged)
    if row.state == MessageState.UNKNOWN and _last_attempt(connection, row.id) == attempt:
        return _apply(connection, row, answer, jitter, charge=False)
    if answer.outcome is Outcome.ACCEPTED:
        return _accepted_after_all(connection, row, answer)
    return None


def _followed(
    connection: Connection, row: Row[Any], attempt: uuid.UUID, answer: Answer
) -> str | None:
    """What delivery reports that came before make of an SMS; nothing of an e-mail."""
    if row.channel != Channel.SMS:
        return None
    return sms_settling.settled(connection, row.id, attempt, answer.outcome, answer.uuids)


def undo(connection: Connection, message_id: int, attempt: uuid.UUID, why: str) -> None:
    """Take our own claim back of which nothing reached the far side: it is ready, none is charged.

    Returns without a word if the claim was overtaken meanwhile.
    """
    channel = connection.execute(LOCK, {"id": message_id}).scalar()
    if connection.execute(VOID_ATTEMPT, {"id": attempt, "why": why}).rowcount:
        leases.take_back(connection, message_id, attempt, why)
        if channel == Channel.SMS:
            sms_settling.undone(connection, message_id, attempt)


def undo_in_doubt(
    connection: Connection, message_id: int, attempt: uuid.UUID, worker: str, why: str
) -> None:
    """Take back what may be our claim, or was never committed, or is another's.

    Celery may hand a message to two processes under one token. Who made the attempt is written
    in it.
    """
    # The row lock waits for a claim that is still being committed.
    connection.execute(LOCK, {"id": message_id})
    claimed_by = connection.execute(WHOSE, {"id": attempt}).scalar()
    if claimed_by is None:
        leases.give_back(connection, message_id, attempt, why)
    elif claimed_by == worker:
        undo(connection, message_id, attempt, why)


def fail(connection: Connection, message_id: int, attempt: uuid.UUID, why: str) -> str | None:
    """End a claimed message that can never be composed; its attempt counts for nothing.

    Returns:
        The message's new state; None if it was not this attempt's to move.
    """
    row = connection.execute(BY_ID, {"id": message_id}).one()
    connection.execute(VOID_ATTEMPT, {"id": attempt, "why": why})
    state = None
    if row.lease == attempt and row.state == MessageState.SENDING:
        pending = _all_pending(connection, message_id, Outcome.REJECTED, why)
        answer = Answer(Outcome.REJECTED, pending, text=why)
        state = _apply(connection, row, answer, 0.0, charge=False)
    if row.channel == Channel.SMS:
        return sms_settling.undone(connection, message_id, attempt) or state
    return state


def overtaken(connection: Connection, message_id: int, attempt: uuid.UUID, why: str) -> str | None:
    """Take a message for unknown whose attempt was never settled, then follow the task's policy.

    It moves on even if its attempt was closed already, which nothing does that we know of.

    Returns:
        The message's new state; None if it was not this attempt's to move.
    """
    row = connection.execute(BY_ID, {"id": message_id}).one()
    if row.lease != attempt or row.state != MessageState.SENDING:
        return None
    pending = _all_pending(connection, message_id, Outcome.UNKNOWN, None)
    answer = Answer(Outcome.UNKNOWN, pending, text=why)
    _close(connection, attempt, answer, timedelta(0))
    state = _apply(connection, row, answer, 0.0, charge=True)
    return _followed(connection, row, attempt, answer) or state


def send_again(connection: Connection, message_id: int, why: str) -> None:
    """Prepare an unknown message for its second attempt, as its task's policy says.

    Under the same Message-ID, or own key, since nobody knows whether the first one went.
    """
    row = connection.execute(BY_ID, {"id": message_id}).one()
    recipients = Recipients(connection, row.id)
    recipients.replace(RecipientState.UNKNOWN, RecipientState.PENDING)
    recipients.write()
    moving.move(
        connection,
        row,
        MessageState.READY,
        why=why,
        attempts=row.attempts,
        unknowns=row.unknowns,
        domains=recipients.domains_to_reach(),
    )


def _close(connection: Connection, attempt: uuid.UUID, answer: Answer, ago: timedelta) -> bool:
    values = {
        "id": attempt,
        "state": answer.outcome.value,
        "phase": answer.phase,
        "code": answer.code,
        "enhanced": answer.enhanced,
        "text": answer.text,
        "ago": ago,
        "replies": replies_of(answer),
    }
    return connection.execute(CLOSE_ATTEMPT, values).rowcount == 1


def _last_attempt(connection: Connection, message_id: int) -> uuid.UUID | None:
    found: uuid.UUID | None = connection.execute(LAST_ATTEMPT, {"id": message_id}).scalar()
    return found


def _all_pending(
    connection: Connection, message_id: int, outcome: Outcome, words: str | None
) -> tuple[RecipientAnswer, ...]:
    return tuple(
        RecipientAnswer(r.position, outcome, words)
        for r in moving.recipients(connection, message_id)
        if r.state == RecipientState.PENDING
    )


def _apply(
    connection: Connection, row: Row[Any], answer: Answer, jitter: float, *, charge: bool
) -> str:
    recipients = Recipients(connection, row.id)
    recipients.take(answer.recipients)
    attempts, unknowns, now = row.attempts + charge, row.unknowns, db.now(connection)
    state, why, not_before = derive(recipients.states.values()), answer.text, None
    if state is MessageState.UNKNOWN:
        unknowns += row.state != MessageState.UNKNOWN
        # Reports may tell what became of an SMS: the policy waits for them (`overdue`).
        if row.channel != Channel.SMS and resend_unknown(
            row.unknown_policy, unknowns, now, row.expires_at
        ):
            recipients.replace(RecipientState.UNKNOWN, RecipientState.PENDING)
            state, why = MessageState.READY, "unknown, and sent once more as the task's policy says"
    elif state is MessageState.READY and answer.charged:
        state, not_before = _try_again(row, recipients, attempts, now, jitter)
    recipients.write()
    moving.move(
        connection,
        row,
        state,
        why=why,
        attempts=attempts,
        unknowns=unknowns,
        not_before=not_before,
        domains=recipients.domains_to_reach(),
    )
    return state.value


def _try_again(
    row: Row[Any], recipients: Recipients, attempts: int, now: datetime, jitter: float
) -> tuple[MessageState, datetime | None]:
    """Where a message goes of which some recipients were deferred, and when it may go again."""
    policy = RetryPolicy(
        timedelta(seconds=row.retry_first),
        timedelta(seconds=row.retry_longest),
        row.most_attempts,
    )
    decision = decide(Outcome.DEFERRED, attempts, policy, now, row.expires_at, jitter)
    if decision.next is Next.RETRY:
        return MessageState.READY, decision.at
    recipients.replace(RecipientState.PENDING, RecipientState.FAILED)
    state = derive(recipients.states.values())
    if decision.next is Next.EXPIRE and state is MessageState.FAILED:
        state = MessageState.EXPIRED
    return state, None


def _accepted_after_all(connection: Connection, row: Row[Any], answer: Answer) -> str | None:
    """Whoever has the mail gets no other, wherever the message stands by now."""
    recipients = Recipients(connection, row.id)
    recipients.take([one for one in answer.recipients if one.outcome is Outcome.ACCEPTED])
    recipients.write()
    if row.state not in UNDECIDED:  # being sent once more, or ended
        return None
    state = derive(recipients.states.values())
    if state is MessageState.READY and row.state == MessageState.HELD:
        state = MessageState.HELD
    moving.move(
        connection,
        row,
        state,
        why=answer.text,
        attempts=row.attempts,
        unknowns=row.unknowns,
        domains=recipients.domains_to_reach(),
    )
    return state.value
