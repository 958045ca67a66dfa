"""What time has overtaken: released and sending messages past their deadlines, expired ones."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from sqlalchemy import Connection, text

from worker.outbox import settling, sms_polls

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

BEING_SENT = text("""
    SELECT a.message_id, a.id, a.worker FROM attempt a
    WHERE a.state = 'open' AND starts_with(a.worker, :begins)
""")
OVER = text("""
    UPDATE message SET deadline = clock_timestamp()
    WHERE id = :id AND lease = :lease AND state = 'sending' AND deadline > statement_timestamp()
""")

# Silence is nobody's who was not asked: reports must have been fetched after the hours, whole.
# Of those that a restore made unknown, a person decides.
SILENT_SMS = text("""
    SELECT m.id FROM message m
    JOIN automatic_task t ON t.id = m.task_id
    JOIN sms_task k ON k.task_id = t.id
    WHERE m.state = 'unknown' AND t.unknown_policy = 'resend' AND m.unknowns = 1
      AND m.expires_at > statement_timestamp()
      AND EXISTS (
        SELECT FROM attempt a WHERE a.message_id = m.id AND a.state = 'unknown'
          AND NOT starts_with(a.text, 'open at the backup'))
      AND NOT EXISTS (
        SELECT FROM attempt a
        LEFT JOIN eurosms_account e ON e.account_id = a.account_id
        LEFT JOIN eurosms_poll p ON p.base_url = e.base_url
            AND p.integration_id = e.integration_id AND p.holder IS NULL AND p.failures = 0
        WHERE a.message_id = m.id AND coalesce(
            a.closed_at > p.polled_at - make_interval(hours => k.unknown_hours), true))
    ORDER BY m.id LIMIT :batch FOR UPDATE OF m SKIP LOCKED
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
    for _, attempt in late:  # last of all: pollers lock messages before their own row
        sms_polls.expect(connection, attempt)
    return late


def resend_silent(connection: Connection) -> list[int]:
    """Have unknown SMS sent once more of which no report came in time, where the policy says so."""
    silent = list(connection.execute(SILENT_SMS, {"batch": BATCH}).scalars())
    for message_id in silent:
        settling.send_again(
            connection,
            message_id,
            "unknown, no report came in time, and sent once more as the task's policy says",
        )
    return silent


def end_of_dead(connection: Connection, begins: str, is_dead: Callable[[str], bool]) -> int:
    """Bring forward the deadlines of what dead processes were sending, to the present.

    Args:
        connection: in a transaction of its own.
        begins: how the names of the processes begin.
        is_dead: of the whole name; true only if that process will certainly never act again.

    Returns:
        How many were brought forward; the next recover takes them for unknown.
    """
    count = 0
    for row in connection.execute(BEING_SENT, {"begins": begins}).all():
        if is_dead(row.worker):
            count += connection.execute(OVER, {"id": row.message_id, "lease": row.id}).rowcount
    return count


def expire(connection: Connection) -> int:
    """End what is worth nothing to its reader any more; returns how many."""
    return connection.execute(EXPIRED, {"batch": BATCH}).rowcount


def expire_one(connection: Connection, message_id: int) -> None:
    """End a released message that comes too late; its row must be ours."""
    connection.execute(EXPIRE_ONE, {"id": message_id})
