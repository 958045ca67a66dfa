"""Writing what became of a message and of its recipients."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import ENDS, MessageState, RecipientState

RECIPIENTS = text("""
    SELECT position, state, domain, cost FROM recipient WHERE message_id = :id ORDER BY position
""")

MARK = text("""
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

OPEN_STATES = {MessageState.READY, MessageState.HELD, MessageState.UNKNOWN}


def recipients(connection: Connection, message_id: int) -> Sequence[Row[Any]]:
    """Position, state, domain and cost of each recipient, in order."""
    return connection.execute(RECIPIENTS, {"id": message_id}).all()


def to_reach(
    rows: Sequence[Row[Any]], states: Mapping[int, RecipientState], wanted: Collection[Any]
) -> dict[str, int]:
    """What a permit for those recipients costs who stand in a wanted state, by domain.

    Args:
        rows: as `recipients` gives them.
        states: by position.
        wanted: states.
    """
    counted: dict[str, int] = {}
    for row in rows:
        if states[row.position] in wanted:
            counted[row.domain] = counted.get(row.domain, 0) + row.cost
    return counted


def mark(
    connection: Connection,
    message_id: int,
    states: Mapping[int, RecipientState],
    words: Mapping[int, str | None],
) -> None:
    """Write the states of recipients by position, and the far side's words where there are any."""
    if states:
        connection.execute(
            MARK,
            {
                "id": message_id,
                "positions": list(states),
                "states": [state.value for state in states.values()],
                "replies": [words.get(position) for position in states],
            },
        )


def move(
    connection: Connection,
    row: Row[Any],
    state: MessageState,
    *,
    why: str | None,
    attempts: int,
    unknowns: int,
    not_before: object = None,
    domains: Mapping[str, int] | None = None,
) -> None:
    """Write a message's new state.

    Args:
        connection: within a transaction that holds the message's row.
        row: the message as it is.
        state: its new state; neither released nor sending.
        why: in a few words, if there is a reason to show.
        attempts: charged so far.
        unknowns: how often it was unknown.
        not_before: a datetime; absent, it stays.
        domains: cost of those still to be reached, by domain; none, and it stays.
    """
    counted = Counter(domains or row.domains or {row.domain: row.cost})
    connection.execute(
        MOVE,
        {
            "id": row.id,
            "state": state.value,
            "why": why,
            "attempts": attempts,
            "unknowns": unknowns,
            "not_before": not_before,
            "cost": counted.total(),
            "domain": next(iter(counted)) if domains else row.domain,
            "domains": json.dumps(counted) if len(counted) > 1 else None,
            "settled": state in ENDS,
        },
    )
