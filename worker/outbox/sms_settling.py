"""What settling an attempt means beyond the message, where the message is an SMS."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import Connection, text

from worker.core.outcomes import Outcome
from worker.outbox import sms_budgets, sms_segments

AWAIT = text("""
    UPDATE sms SET sent_at = a.closed_at, awaited = true, unconfirmed_at = NULL, asked_at = NULL
    FROM attempt a WHERE a.id = :attempt AND sms.message_id = a.message_id
""")

# A segment without a report yet may still turn out to cost more or less.
ESTIMATE = text("SELECT price / cost FROM attempt WHERE id = :attempt")

REACHED_NOBODY = frozenset({Outcome.DEFERRED, Outcome.REJECTED})


def settled(
    connection: Connection,
    message_id: int,
    attempt: uuid.UUID,
    outcome: Outcome,
    uuids: Sequence[str],
) -> str | None:
    """Keep what the gateway made of an SMS, and heed reports that came before.

    Args:
        connection: within a transaction that holds the message's row, once it was moved.
        message_id: the message.
        attempt: closed in this transaction.
        outcome: the attempt's.
        uuids: of its segments, as the gateway named them.

    Returns:
        The message's new state, if reports have moved it on.
    """
    if outcome in REACHED_NOBODY:
        return undone(connection, message_id, attempt)
    if outcome is Outcome.ACCEPTED:
        connection.execute(AWAIT, {"attempt": attempt})
    if outcome is Outcome.ACCEPTED or uuids:  # an answer in doubt may name them as well
        estimate = connection.execute(ESTIMATE, {"attempt": attempt}).scalar()
        sms_segments.add(connection, message_id, attempt, uuids, estimate)
    return sms_segments.follow(connection, message_id)


def undone(connection: Connection, message_id: int, attempt: uuid.UUID) -> str | None:
    """An attempt sent nothing: it costs nothing, and what was reported meanwhile is of another.

    While the SMS was being sent, a report on an earlier attempt could not move it. It must now,
    or one that is known to have gone would be sent once more.

    Args:
        connection: within a transaction that holds the message's row, once it was moved.
        message_id: the message.
        attempt: closed in this transaction.

    Returns:
        The message's new state, if reports have moved it on.
    """
    state = sms_segments.follow(connection, message_id)  # prices are locked before budgets
    sms_budgets.give_back(connection, attempt)
    return state
