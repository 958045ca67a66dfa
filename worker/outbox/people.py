"""Moves that a person makes: hold, release, cancel, resend, and settling an unknown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import (
    MOVES,
    SLOVAK,
    Channel,
    MessageState,
    Priority,
    RecipientState,
    derive,
)
from worker.outbox import inbox, moving

M, R = MessageState, RecipientState

MESSAGE = text("SELECT m.* FROM message m WHERE m.id = :id FOR UPDATE")

# By itself, once the message is ours: retention may have dropped it while we waited for the row.
TEXT_LEFT = text("SELECT text IS NOT NULL FROM sms WHERE message_id = :id")

# What is prepared again is tried for as long as a new message, and with all its attempts.
RENEW = text("""
    UPDATE message SET not_before = clock_timestamp(), expires_at = greatest(
        expires_at, clock_timestamp() + interval '3 days')
    WHERE id = :id
""")

# What an earlier sending came to no longer holds of the SMS. Its segments, their reports and prices
# stay: they are the evidence, and a report may still tell that the earlier one arrived.
RENEW_SMS = text("""
    UPDATE sms SET awaited = false, asked_at = NULL, unconfirmed_at = NULL, sent_at = NULL,
        delivered_at = NULL, read_at = NULL, status = NULL
    WHERE message_id = :id
""")

# Its reports may still come. When the gateway took it nobody knows; not before it was handed over.
AWAIT_SMS = text("""
    UPDATE sms SET awaited = true, asked_at = NULL, unconfirmed_at = NULL, sent_at = coalesce(
        sent_at, (SELECT max(opened_at) FROM attempt WHERE message_id = :id), clock_timestamp())
    WHERE message_id = :id
""")

MARK = text("""
    UPDATE recipient SET state = :state, reply = coalesce(:reply, reply)
    WHERE message_id = :id AND position = ANY (CAST(:positions AS smallint[]))
""")

PENDING = text("""
    SELECT domain, sum(cost) AS cost FROM recipient WHERE message_id = :id AND state = 'pending'
    GROUP BY domain ORDER BY min(position)
""")

AUDIT = text("""
    INSERT INTO audit_log (who, action, subject, before, after) VALUES (
        coalesce(nullif(current_setting('kadencia.who', true), ''), 'database:' || current_user),
        :action, 'message:' || :id, CAST(:before AS jsonb), CAST(:after AS jsonb))
""")

REACHED = frozenset({R.SENT, R.DELIVERED})
"""Recipients who have it: a resend leaves them out unless it is for all."""
RESENT = frozenset({M.SENT, M.DELIVERED, M.UNDELIVERED, M.FAILED, M.SUPPRESSED, M.EXPIRED})


class MoveRefused(Exception):
    """A message can't be moved as asked; nothing of it was changed.

    Attributes:
        message_id: the message.
        why: in words that end a sentence about it.
    """

    def __init__(self, message_id: int, why: str) -> None:
        super().__init__(message_id, why)
        self.message_id = message_id
        self.why = why

    def __str__(self) -> str:
        return f"message {self.message_id} {self.why}"


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move did."""

    message_id: int
    before: MessageState
    after: MessageState


def hold(connection: Connection, message_id: int) -> Moved:
    """Keep a message from being sent until a person releases it (*Neodosielať*).

    Raises:
        MoveRefused: it is neither ready nor released.
    """
    row = _locked(connection, message_id, "held", {M.READY, M.RELEASED})
    return _move(connection, row, M.HELD, "hold", why="held by a person")


def release(connection: Connection, message_id: int) -> Moved:
    """Let a held message go.

    Raises:
        MoveRefused: it is not held.
    """
    row = _locked(connection, message_id, "released", {M.HELD})
    return _move(connection, row, M.READY, "release")


def cancel(connection: Connection, message_id: int, by: str = "a person") -> Moved:
    """End a message that was not handed over, or of which nobody knows.

    Raises:
        MoveRefused: it is being sent, or has ended.
    """
    row = _locked(connection, message_id, "cancelled", {M.READY, M.RELEASED, M.HELD, M.UNKNOWN})
    return _move(connection, row, M.CANCELLED, "cancel", why=f"cancelled by {by}")


def resend(connection: Connection, message_id: int, *, to_all: bool = False) -> Moved:
    """Prepare a message that has ended for sending again, under the same Message-ID or own key.

    Args:
        connection: within a transaction.
        message_id: the message.
        to_all: also to the recipients who have it.

    Raises:
        MoveRefused: it has not ended, its content is gone, or all its recipients have it.
    """
    row = _locked(connection, message_id, "sent again", RESENT | {M.CANCELLED})
    states = _recipients(connection, message_id)
    wanted = [p for p, state in states.items() if to_all or state not in REACHED]
    if not wanted:
        raise MoveRefused(
            message_id, "has reached all its recipients; --all sends it to them once more"
        )
    return _again(connection, row, states, wanted, "resend")


def resolve_sent(connection: Connection, message_id: int) -> Moved:
    """Settle an unknown message: a person knows that it went out.

    Raises:
        MoveRefused: it is not unknown.
    """
    row = _locked(connection, message_id, "resolved", {M.UNKNOWN})
    states = _recipients(connection, message_id)
    unsure = [p for p, state in states.items() if state is R.UNKNOWN]
    _mark(connection, message_id, unsure, R.SENT, "sent, as a person has found out")
    states |= dict.fromkeys(unsure, R.SENT)
    if row.channel == Channel.SMS:
        connection.execute(AWAIT_SMS, {"id": message_id})
    return _move(connection, row, derive(states.values()), "resolve as sent")


def resolve_resend(connection: Connection, message_id: int) -> Moved:
    """Settle an unknown message: a person wants it sent once more.

    Raises:
        MoveRefused: it is not unknown, or its content is gone.
    """
    row = _locked(connection, message_id, "resolved", {M.UNKNOWN})
    states = _recipients(connection, message_id)
    unsure = [p for p, state in states.items() if state is R.UNKNOWN]
    return _again(connection, row, states, unsure, "resolve by resending")


def move_each(
    connection: Connection, ids: Sequence[int], move: Callable[[Connection, int], Moved]
) -> tuple[list[Moved], list[MoveRefused]]:
    """Move what can be moved, in the order of ids so that two people never deadlock."""
    moved, refused = [], []
    for message_id in sorted(set(ids)):
        try:
            moved.append(move(connection, message_id))
        except MoveRefused as error:
            refused.append(error)
    return moved, refused


_OBSTACLE = {
    M.SENDING: "wait for the answer",
    M.UNKNOWN: "settle it with `kadencia {command} resolve`",
    M.READY: "it waits to be sent",
    M.RELEASED: "a worker is about to take it",
    M.HELD: "`kadencia {command} release` lets it go",
}
_ENDED = "it has ended; `kadencia {command} resend` sends it again"

COMMAND = {Channel.EMAIL: "mail", Channel.SMS: "sms"}
"""The commands that look at the messages of a channel and move them."""


def _locked(
    connection: Connection,
    message_id: int,
    done: str,
    allowed: frozenset[MessageState] | set[MessageState],
) -> Row[Any]:
    """The message's row, ours until the transaction ends, in one of the states."""
    row = connection.execute(MESSAGE, {"id": message_id}).one_or_none()
    if row is None:
        raise MoveRefused(message_id, "does not exist")
    state = M(row.state)
    if state not in allowed:
        hint = _OBSTACLE.get(state, _ENDED).format(command=COMMAND[Channel(row.channel)])
        raise MoveRefused(message_id, f"is {state} ({SLOVAK[state]}) and can't be {done}; {hint}")
    return row


def _again(
    connection: Connection,
    row: Row[Any],
    states: dict[int, RecipientState],
    wanted: Sequence[int],
    action: str,
) -> Moved:
    is_sms = row.channel == Channel.SMS
    if is_sms and not connection.execute(TEXT_LEFT, {"id": row.id}).scalar():
        raise MoveRefused(row.id, "can't be sent again; retention has dropped its text")
    if not is_sms and row.body_id is None:
        raise MoveRefused(row.id, "can't be sent again; retention has dropped its body")
    _mark(connection, row.id, wanted, R.PENDING, None)
    connection.execute(RENEW, {"id": row.id})
    if is_sms:
        connection.execute(RENEW_SMS, {"id": row.id})
    fresh = states | dict.fromkeys(wanted, R.PENDING)
    return _move(connection, row, derive(fresh.values()), action, attempts=0)


def _move(
    connection: Connection,
    row: Row[Any],
    state: MessageState,
    action: str,
    *,
    why: str | None = None,
    attempts: int | None = None,
) -> Moved:
    before = M(row.state)
    if state not in MOVES[before]:
        raise MoveRefused(row.id, f"can't go from {before} to {state}")
    pending = connection.execute(PENDING, {"id": row.id})
    moving.move(
        connection,
        row,
        state,
        why=why,
        attempts=row.attempts if attempts is None else attempts,
        unknowns=row.unknowns,
        domains={one.domain: one.cost for one in pending},
    )
    connection.execute(
        AUDIT,
        {
            "action": action,
            "id": row.id,
            "before": json.dumps({"state": before}),
            "after": json.dumps({"state": state}),
        },
    )
    if state is M.READY:
        inbox.notify(connection, row.lane_id, Priority(row.priority))
    return Moved(row.id, before, state)


def _recipients(connection: Connection, message_id: int) -> dict[int, RecipientState]:
    rows = moving.recipients(connection, message_id)
    return {row.position: R(row.state) for row in rows}


def _mark(
    connection: Connection,
    message_id: int,
    positions: Sequence[int],
    state: RecipientState,
    reply: str | None,
) -> None:
    connection.execute(
        MARK,
        {"id": message_id, "positions": list(positions), "state": state.value, "reply": reply},
    )
