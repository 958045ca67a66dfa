"""Leasing messages to a sweep, and giving them back. All moves ready ⇄ released are here."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

from models.states import Channel, Priority
from worker.outbox.in_charge import IN_CHARGE


@dataclass(frozen=True, slots=True)
class Lease:
    """A message released to Celery under a token."""

    message_id: int
    token: uuid.UUID
    transactional: bool
    channel: Channel
    traceparent: str | None = None
    """Trace and span of its enqueue."""


# Two sweeps of different tasks may share a lane: whoever locks a row first has it.
LEASE = text("""
    WITH chosen AS (
        SELECT id FROM message WHERE id = ANY (CAST(:ids AS bigint[])) AND state = 'ready'
        FOR UPDATE SKIP LOCKED)
    UPDATE message m SET state = 'released', lease = gen_random_uuid(), task_id = :task,
        deadline = clock_timestamp() + :deadline, why = NULL
    FROM chosen WHERE m.id = chosen.id
    RETURNING m.id, m.lease, m.priority, m.channel, m.traceparent
""")

# A lease through an account that the task fell back to; a claim finds it by the lease.
DETOUR = text("""
    INSERT INTO detour (message_id, lease, account_id)
    SELECT n.id, n.lease, :account
    FROM unnest(CAST(:ids AS bigint[]), CAST(:leases AS uuid[])) AS n(id, lease)
    ON CONFLICT (message_id) DO UPDATE SET
        lease = excluded.lease, account_id = excluded.account_id
""")

RETURN = """
    UPDATE message SET state = 'ready', lease = NULL, deadline = NULL, why = :why
    WHERE id = :id AND lease = :lease AND state = '{}'
"""
GIVE_BACK = text(RETURN.format("released"))
TAKE_BACK = text(RETURN.format("sending"))

RETURN_OF_SERVER = text(f"""
    UPDATE message SET state = 'ready', lease = NULL, deadline = NULL,
        why = 'the OAC server stopped before it was begun'
    WHERE state = 'released'
      AND task_id IN (SELECT t.id FROM automatic_task t WHERE {IN_CHARGE} = :server)
""")  # noqa: S608  no value of anybody's is in it

# Passing over locked ones: their claim is under way, and will find who is in charge by itself.
RETURN_OF_TASK = text("""
    UPDATE message SET state = 'ready', lease = NULL, deadline = NULL, why = :why
    WHERE id IN (SELECT id FROM message WHERE state = 'released' AND task_id = :task
                 FOR UPDATE SKIP LOCKED)
""")


def lease(
    connection: Connection,
    task_id: int,
    ids: Sequence[int],
    deadline: timedelta,
    detour: int | None = None,
) -> list[Lease]:
    """Release messages; those that another sweep took meanwhile are left out.

    Args:
        connection: of the sweep's transaction.
        task_id: automatic task.
        ids: of ready messages, in the order in which they should go.
        deadline: until when they must be claimed.
        detour: the SMTP account that the task fell back to; None for its own.
    """
    if not ids:
        return []
    rows = connection.execute(
        LEASE, {"ids": list(ids), "task": task_id, "deadline": deadline}
    ).all()
    if detour is not None and rows:
        found = {"ids": [row.id for row in rows], "leases": [row.lease for row in rows]}
        connection.execute(DETOUR, found | {"account": detour})
    order = {message_id: place for place, message_id in enumerate(ids)}
    return [
        Lease(
            row.id,
            row.lease,
            row.priority == Priority.TRANSACTIONAL,
            Channel(row.channel),
            row.traceparent,
        )
        for row in sorted(rows, key=lambda row: order[row.id])
    ]


def give_back(connection: Connection, message_id: int, token: uuid.UUID, why: str) -> bool:
    """Put a message that was not claimed back to ready.

    Not one that is being sent: Celery may have given it to another process under the same token.

    Returns:
        False if it is not ours to give, and nothing was changed.
    """
    values = {"id": message_id, "lease": token, "why": why}
    return connection.execute(GIVE_BACK, values).rowcount == 1


def take_back(connection: Connection, message_id: int, token: uuid.UUID, why: str) -> bool:
    """Put a message that we claimed and did not hand over back to ready, charging no attempt.

    Returns:
        False if the claim was overtaken, and nothing was changed.
    """
    values = {"id": message_id, "lease": token, "why": why}
    return connection.execute(TAKE_BACK, values).rowcount == 1


def return_released(connection: Connection, server_id: int) -> int:
    """Put back what a server was given and has not begun; for its ordered stop."""
    return connection.execute(RETURN_OF_SERVER, {"server": server_id}).rowcount


def return_released_of_task(connection: Connection, task_id: int, why: str) -> int:
    """Put back what the server was given that was in charge of a task, and has not begun."""
    return connection.execute(RETURN_OF_TASK, {"task": task_id, "why": why}).rowcount
