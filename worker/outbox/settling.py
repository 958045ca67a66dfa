"""Closing attempts and moving their messages on. Whatever the message's state, evidence is kept."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import MessageState, RecipientState, derive
from worker import db
from worker.core.outcomes import Outcome
from worker.core.retry import Next, RetryPolicy, decide, resend_unknown
from worker.outbox import leases

CLOSE_ATTEMPT = text("""
    UPDATE attempt SET state = :state, closed_at = clock_timestamp() - CAST(:ago AS interval),
        phase = :phase, code = :code,
        enhanced = :enhanced, text = :text, replies = CAST(:replies AS jsonb)
    WHERE id = :id AND state IN ('open', 'unknown')
    RETURNING message_id
""")

VOID_ATTEMPT = text("""
    UPDATE attempt SET state = 'void', closed_at = clock_timestamp(), text = :why
    WHERE id = :id AND state = 'open'
""")

MESSAGE = text("""
    SELECT m.*, t.retry_first, t.retry_longest, t.most_attempts, t.unknown_policy,
        (SELECT a.id FROM attempt a WHERE a.message_id = m.id
         ORDER BY a.opened_at DESC LIMIT 1) AS last_attempt
    FROM message m JOIN automatic_task t ON t.id = m.task_id
    WHERE m.id = :id FOR UPDATE OF m
""")

RECIPIENTS = text("""
    SELECT position, state, domain FROM recipient WHERE message_id = :id ORDER BY position
""")

MARK_RECIPIENTS = text("""
    UPDATE recipient r SET state = n.state, reply = coalesce(n.reply, r.reply)
    FROM unnest(CAST(:positions AS smallint[]), CAST(:states AS text[]), CAST(:replies AS text[]))
        AS n(position, state, reply)
    WHERE r.message_id = :id AND r.position = n.position
""")

MOVE = text("""
    UPDATE message SET state = :state, lease = NULL, deadline = NULL, why = :why,
        attempts = :attempts, unknowns = :unknowns,
        not_before = coalesce(CAST(:not_before AS timestamptz), not_before),
        cost = :cost, domain = :domain, domains = CAST(:domains AS jsonb),
        settled_at = CASE WHEN :settled THEN clock_timestamp() END
    WHERE id = :id
""")

OF_OUTCOME = {
    Outcome.ACCEPTED: RecipientState.SENT,
    Outcome.REJECTED: RecipientState.FAILED,
    Outcome.UNKNOWN: RecipientState.UNKNOWN,
    Outcome.DEFERRED: RecipientState.PENDING,
}
OPEN_STATES = {MessageState.READY, MessageState.HELD, MessageState.UNKNOWN}


@dataclass(frozen=True, slots=True)
class RecipientAnswer:
    """What the far side made of one recipient; `words` are its reply."""

    position: int
    outcome: Outcome
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the far side made of an attempt.

    Attributes:
        outcome: of the message as a whole.
        recipients: of each envelope recipient.
        charged: whether it counts against the task's most attempts.
        phase, code, enhanced, text: the far side's words (RFC 5321, RFC 3463).
    """

    outcome: Outcome
    recipients: tuple[RecipientAnswer, ...]
    charged: bool = True
    phase: str | None = None
    code: int | None = None
    enhanced: str | None = None
    text: str | None = None


def settle(
    connection: Connection,
    attempt: uuid.UUID,
    answer: Answer,
    jitter: float,
    ago: timedelta = timedelta(0),
) -> str | None:
    """Close an attempt with the far side's answer and move its message on.

    An answer that comes after the message was taken for unknown still counts; one that
    comes after a resend was decided ends it if it says accepted. Repeating it is harmless.

    Args:
        connection: commit at once after it.
        attempt: the attempt's id.
        answer: the far side's.
        jitter: chance for the back-off, 0 up to 1.
        ago: how long ago the answer came; the database may have been away since.

    Returns:
        The message's new state; None if it was not this attempt's to move.
    """
    message_id = connection.execute(
        CLOSE_ATTEMPT,
        {
            "id": attempt,
            "state": answer.outcome.value,
            "phase": answer.phase,
            "code": answer.code,
            "enhanced": answer.enhanced,
            "text": answer.text,
            "ago": ago,
            "replies": _replies(answer.recipients),
        },
    ).scalar_one_or_none()
    if message_id is None:
        return None
    row = connection.execute(MESSAGE, {"id": message_id}).one()
    is_ours = row.lease == attempt and row.state == MessageState.SENDING
    was_overtaken = row.state == MessageState.UNKNOWN and row.last_attempt == attempt
    if is_ours or was_overtaken:
        return _apply(connection, row, answer, jitter, charge=is_ours and answer.charged)
    if row.state in ("ready", "released") and answer.outcome is Outcome.ACCEPTED:
        return _apply(connection, row, answer, jitter, charge=False)
    return None


def undo(connection: Connection, message_id: int, attempt: uuid.UUID, why: str) -> None:
    """Take a claim back of which nothing reached the far side: it is ready, none is charged.

    Also right when it is not known whether the claim was committed.
    """
    # First the message: its row lock waits for a claim that is still being committed.
    leases.give_back(connection, message_id, attempt, why)
    _void(connection, attempt, why)


def fail(connection: Connection, message_id: int, attempt: uuid.UUID, why: str) -> str | None:
    """End a claimed message that can never be composed; its attempt counts for nothing.

    Returns:
        The message's new state; None if it was not this attempt's to move.
    """
    _void(connection, attempt, why)
    row = connection.execute(MESSAGE, {"id": message_id}).one()
    if row.lease != attempt or row.state != MessageState.SENDING:
        return None
    pending = _all_pending(connection, message_id, Outcome.REJECTED, why)
    answer = Answer(Outcome.REJECTED, pending, text=why)
    return _apply(connection, row, answer, 0.0, charge=False)


def overtaken(connection: Connection, message_id: int, attempt: uuid.UUID, why: str) -> str | None:
    """Take a message for unknown whose attempt was never settled, then follow the task's policy."""
    pending = _all_pending(connection, message_id, Outcome.UNKNOWN, None)
    return settle(connection, attempt, Answer(Outcome.UNKNOWN, pending, text=why), 0.0)


def _void(connection: Connection, attempt: uuid.UUID, why: str) -> None:
    connection.execute(VOID_ATTEMPT, {"id": attempt, "why": why})


def _all_pending(
    connection: Connection, message_id: int, outcome: Outcome, words: str | None
) -> tuple[RecipientAnswer, ...]:
    return tuple(
        RecipientAnswer(r.position, outcome, words)
        for r in connection.execute(RECIPIENTS, {"id": message_id})
        if r.state == RecipientState.PENDING
    )


def _apply(
    connection: Connection, row: Row[Any], answer: Answer, jitter: float, *, charge: bool
) -> str:
    rows = connection.execute(RECIPIENTS, {"id": row.id}).all()
    states = {r.position: RecipientState(r.state) for r in rows}
    states |= {one.position: OF_OUTCOME[one.outcome] for one in answer.recipients}
    attempts = row.attempts + charge
    unknowns = row.unknowns + (
        answer.outcome is Outcome.UNKNOWN and row.state != MessageState.UNKNOWN
    )
    now = db.now(connection)
    state, why, not_before = derive(states.values()), answer.text, None
    if state is MessageState.UNKNOWN and resend_unknown(
        row.unknown_policy, unknowns, now, row.expires_at
    ):
        states = _replaced(states, RecipientState.UNKNOWN, RecipientState.PENDING)
        state, why = MessageState.READY, "unknown, and sent once more as the task's policy says"
    elif state is MessageState.READY and answer.outcome is not Outcome.UNKNOWN and answer.charged:
        decision = decide(Outcome.DEFERRED, attempts, _policy(row), now, row.expires_at, jitter)
        not_before = decision.at
        if decision.next is not Next.RETRY:
            states = _replaced(states, RecipientState.PENDING, RecipientState.FAILED)
            state = derive(states.values())
            if decision.next is Next.EXPIRE and state is MessageState.FAILED:
                state = MessageState.EXPIRED
    _mark(connection, row.id, answer.recipients, states, {r.position: r.state for r in rows})
    domains = {r.position: r.domain for r in rows}
    move(
        connection,
        row,
        state,
        why=why,
        attempts=attempts,
        unknowns=unknowns,
        not_before=not_before,
        domains=[domains[p] for p, s in states.items() if s in _TO_REACH],
    )
    return state.value


def _policy(row: Row[Any]) -> RetryPolicy:
    return RetryPolicy(
        timedelta(seconds=row.retry_first),
        timedelta(seconds=row.retry_longest),
        row.most_attempts,
    )


_TO_REACH = (RecipientState.PENDING, RecipientState.UNKNOWN)


def move(
    connection: Connection,
    row: Row[Any],
    state: MessageState,
    *,
    why: str | None,
    attempts: int,
    unknowns: int,
    not_before: object = None,
    domains: Sequence[str] = (),
) -> None:
    """Write a message's new state.

    Args:
        connection: within a transaction that holds the message's row.
        row: the message as it is.
        state: its new state.
        why: in a few words, if there is a reason to show.
        attempts: charged so far.
        unknowns: how often it was unknown.
        not_before: a datetime; absent, it stays.
        domains: of the recipients that are still to be reached; none, and they stay.
    """
    counted: dict[str, int] = {}
    for name in domains:
        counted[name] = counted.get(name, 0) + 1
    connection.execute(
        MOVE,
        {
            "id": row.id,
            "state": state.value,
            "why": why,
            "attempts": attempts,
            "unknowns": unknowns,
            "not_before": not_before,
            "cost": sum(counted.values()) or row.cost,
            "domain": next(iter(counted), row.domain),
            "domains": json.dumps(counted) if len(counted) > 1 else None,
            "settled": state not in OPEN_STATES,
        },
    )


def _replaced(
    states: Mapping[int, RecipientState], old: RecipientState, new: RecipientState
) -> dict[int, RecipientState]:
    return {position: new if state is old else state for position, state in states.items()}


def _mark(
    connection: Connection,
    message_id: int,
    answers: Sequence[RecipientAnswer],
    states: Mapping[int, RecipientState],
    before: Mapping[int, str],
) -> None:
    words = {one.position: one.words for one in answers}
    changed = [p for p in states if states[p] != before[p] or words.get(p)]
    if changed:
        connection.execute(
            MARK_RECIPIENTS,
            {
                "id": message_id,
                "positions": changed,
                "states": [states[p].value for p in changed],
                "replies": [words.get(p) for p in changed],
            },
        )


def _replies(recipients: Sequence[RecipientAnswer]) -> str | None:
    """Kept with the attempt only where they tell more than the whole."""
    if len({(one.outcome, one.words) for one in recipients}) < 2:
        return None
    return json.dumps([[one.position, one.outcome.value, one.words] for one in recipients])
