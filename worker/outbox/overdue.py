"""What time has overtaken: released and sending messages past their deadlines, expired ones."""

from __future__ import annotations

import uuid

from sqlalchemy import Connection, text

from worker.outbox import settling

BATCH = 500  # chosen: a transaction of some 50 ms

# The statement's start bounds an index scan; clock_timestamp(), being volatile, would not.
RELEASED = text("""
    UPDATE message m SET state = 'ready', lease = NULL, deadline = NULL,
        why = 'released, but no worker began it in time'
    FROM (SELECT id FROM message WHERE state = 'released' AND deadline < statement_timestamp()
          LIMIT :batch FOR UPDATE SKIP LOCKED) AS late
    WHERE m.id = late.id
    RETURNING m.task_id
""")

SENDING = text("""
    SELECT id, lease FROM message WHERE state = 'sending' AND deadline < statement_timestamp()
    LIMIT :batch FOR UPDATE SKIP LOCKED
""")

EXPIRE = """
    WITH late AS ({}),
    given_up AS (
        UPDATE recipient r SET state = 'failed', reply = coalesce(r.reply, 'expired')
        FROM late WHERE r.message_id = late.id AND r.state = 'pending')
    UPDATE message m SET settled_at = clock_timestamp(), why = 'it was not sent before its expiry',
        lease = NULL, deadline = NULL,
        state = CASE WHEN EXISTS (
            SELECT FROM recipient r WHERE r.message_id = m.id AND r.state IN ('sent', 'delivered'))
            THEN 'sent' ELSE 'expired' END
    FROM late WHERE m.id = late.id
"""
EXPIRED = text(
    EXPIRE.format("""
        SELECT id FROM message
        WHERE state IN ('ready', 'held') AND expires_at <= statement_timestamp()
        ORDER BY expires_at LIMIT :batch FOR UPDATE SKIP LOCKED""")
)
EXPIRE_ONE = text(EXPIRE.format("SELECT CAST(:id AS bigint) AS id"))


def return_released(connection: Connection) -> list[int]:
    """Put released messages past their deadline back to ready; returns their tasks."""
    return list(connection.execute(RELEASED, {"batch": BATCH}).scalars())


def take_for_unknown(connection: Connection) -> list[tuple[int, uuid.UUID]]:
    """Take sending messages past their deadline for unknown, then follow each task's policy.

    Returns:
        Each message and its attempt.
    """
    late = [(row.id, row.lease) for row in connection.execute(SENDING, {"batch": BATCH})]
    for message_id, attempt in late:
        settling.overtaken(
            connection,
            message_id,
            attempt,
            "no answer was recorded: the worker was lost, or its server kept silent",
        )
    return late


def expire(connection: Connection) -> int:
    """End what is worth nothing to its reader any more; returns how many."""
    return connection.execute(EXPIRED, {"batch": BATCH}).rowcount


def expire_one(connection: Connection, message_id: int) -> None:
    """End a released message that comes too late; its row must be ours."""
    connection.execute(EXPIRE_ONE, {"id": message_id})
