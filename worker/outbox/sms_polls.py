"""The queues of delivery reports at the gateway: one row for each integration ID.

The gateway gives a report once, to whoever asks first. So one poller at a time holds a row, and
the trxid with which it asks is stored before: with the same one, the same reports come again.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from worker.outbox.in_charge import IN_CHARGE

KEPT_BY_GATEWAY = timedelta(days=7)
"""How long after its sending the gateway tells of an SMS (EuroSMS 3.1.15 chapter 9.4)."""
ASK_ALONE_AFTER = timedelta(days=6, hours=12)
"""Chosen: half a day before that, for two questions after an SMS that is still open."""
ASK_ALONE_EVERY = timedelta(hours=6)
NOT_ANSWERED = timedelta(hours=5)
"""A question without an answer counts as asked so long ago: the next is due in an hour."""
WATCHED = timedelta(days=8)
"""So long after the last hand-over reports may come; a day more than the gateway keeps them."""
QUIET = timedelta(minutes=10)
"""Chosen: how often an integration ID is polled of which nothing is to be expected."""
BALANCE_IS_OLD = timedelta(hours=1)
"""Chosen: soon enough for the alarm that it is low."""
BATCH = 200

NOT_CONFIRMED = "not confirmed: no final delivery report within 7 days"

ENSURE = text("""
    INSERT INTO eurosms_poll (base_url, integration_id, next_at)
    VALUES (:base_url, :integration_id, clock_timestamp())
    ON CONFLICT (base_url, integration_id) DO NOTHING
""")

# Not after a restore before a person has released it: a copy that somebody only tries out must
# not take the reports from the one that sends. A paused task or server still wants its reports, and
# so does an account from which its task was moved away: then any server will do.
DUE = text(f"""
    UPDATE eurosms_poll p SET next_at = clock_timestamp() + CASE
        WHEN due.watched THEN make_interval(secs => due.poll_seconds)
        ELSE CAST(:quiet AS interval) END
    FROM (
        SELECT d.id, at.server, of.watched, of.poll_seconds
        FROM eurosms_poll d CROSS JOIN installation i
        CROSS JOIN LATERAL (
            SELECT min(e.poll_seconds) AS poll_seconds, bool_or(EXISTS (
                SELECT FROM attempt h WHERE h.account_id = e.account_id
                  AND h.opened_at > statement_timestamp() - CAST(:watched AS interval)
                  AND h.state IN ('open', 'accepted', 'unknown'))) AS watched
            FROM eurosms_account e
            WHERE e.base_url = d.base_url AND e.integration_id = d.integration_id) AS of
        CROSS JOIN LATERAL (
            SELECT s.name AS server,
                EXISTS (
                    SELECT FROM automatic_task t JOIN eurosms_account e USING (account_id)
                    WHERE {IN_CHARGE} = s.id AND e.base_url = d.base_url
                      AND e.integration_id = d.integration_id) AS sends
            FROM server s
            WHERE EXISTS (
                SELECT FROM eurosms_account e JOIN account a ON a.id = e.account_id AND a.enabled
                WHERE e.base_url = d.base_url AND e.integration_id = d.integration_id)
              AND EXISTS (
                SELECT FROM process p WHERE p.server_id = s.id AND p.sms_slots > 0
                  AND p.beat_at > clock_timestamp() - CAST(:silent_after AS interval))
            ORDER BY sends DESC, s.name LIMIT 1) AS at
        WHERE coalesce(d.next_at <= clock_timestamp(), true) AND NOT i.restored
        FOR UPDATE OF d SKIP LOCKED) AS due
    WHERE p.id = due.id
    RETURNING p.id AS poll_id, due.server
""")  # noqa: S608  no value of anybody's is in it

# Where nothing was awaited, the next poll may be far away. Nearly always it is not, and no row is
# changed.
EXPECT = text("""
    UPDATE eurosms_poll p SET next_at = clock_timestamp() + make_interval(secs => e.poll_seconds)
    FROM attempt a JOIN eurosms_account e ON e.account_id = a.account_id
    WHERE a.id = :attempt AND p.base_url = e.base_url AND p.integration_id = e.integration_id
      AND p.next_at > clock_timestamp() + make_interval(secs => e.poll_seconds)
""")

NEXT_DUE = text("""
    SELECT least(min(next_at) - clock_timestamp(), interval '1 hour')
    FROM eurosms_poll WHERE next_at > clock_timestamp()
""")

UNTAKE = text("UPDATE eurosms_poll SET next_at = clock_timestamp() WHERE id = ANY (:ids)")

# After a failure the next in turn: the key of one must not keep the reports from all the others.
ACCOUNT = text("""
    WITH sharing AS (
        SELECT e.*, a.id, a.name, p.failures, coalesce(
            e.balance_at < clock_timestamp() - CAST(:old AS interval), true) AS balance_is_old
        FROM eurosms_poll p
        JOIN eurosms_account e ON e.base_url = p.base_url AND e.integration_id = p.integration_id
        JOIN account a ON a.id = e.account_id AND a.enabled
        WHERE p.id = :id)
    SELECT * FROM sharing ORDER BY id
    OFFSET (SELECT max(failures) % greatest(count(*), 1) FROM sharing) LIMIT 1
""")

NOTE_BALANCE = text("""
    UPDATE eurosms_account e SET balance = :balance, balance_at = clock_timestamp()
    FROM eurosms_poll p
    WHERE p.id = :id AND e.base_url = p.base_url AND e.integration_id = p.integration_id
""")

HOLD = text("""
    UPDATE eurosms_poll
    SET holder = :holder, held_until = clock_timestamp() + CAST(:hold AS interval),
        trxid = coalesce(trxid, :trxid)
    WHERE id = :id AND coalesce(holder = :holder OR held_until <= clock_timestamp(), true)
    RETURNING trxid
""")

# Who was overtaken must not throw away a trxid under which another has asked since.
TAKEN_IN = text("""
    UPDATE eurosms_poll SET trxid = NULL, polled_at = clock_timestamp(), failures = 0, why = NULL
    WHERE id = :id AND trxid = :trxid
""")

RELEASE = text("""
    UPDATE eurosms_poll SET holder = NULL, held_until = NULL, next_at = CASE
        WHEN CAST(:again AS boolean) THEN clock_timestamp() ELSE next_at END
    WHERE id = :id AND holder = :holder
""")

FAIL = text("""
    UPDATE eurosms_poll SET holder = NULL, held_until = NULL, failures = failures + 1, why = :why,
        next_at = clock_timestamp()
            + least(interval '10 seconds' * power(2, least(failures, 10)), CAST(:quiet AS interval))
    WHERE id = :id AND holder = :holder
""")

NEAR_THE_END = text("""
    SELECT s.message_id, array_agg(DISTINCT split_part(g.uuid, '/', 1)) AS uuids
    FROM sms s
    JOIN sms_segment g ON g.message_id = s.message_id
    JOIN message m ON m.id = s.message_id
    WHERE s.awaited AND g.uuid NOT LIKE m.message_id || '/%'
      AND s.sent_at BETWEEN clock_timestamp() - CAST(:kept AS interval)
                        AND clock_timestamp() - CAST(:after AS interval)
      AND coalesce(s.asked_at < clock_timestamp() - CAST(:every AS interval), true)
      AND EXISTS (
        SELECT FROM eurosms_poll p
        JOIN eurosms_account e ON e.base_url = p.base_url AND e.integration_id = p.integration_id
        JOIN account a ON a.id = e.account_id
        WHERE p.id = :id AND a.company_id = m.company_id)
    GROUP BY s.message_id, s.asked_at, s.sent_at
    ORDER BY s.asked_at NULLS FIRST, s.sent_at LIMIT :batch
""")

ASKED = text("""
    UPDATE sms SET asked_at = clock_timestamp() - CAST(:ago AS interval) WHERE message_id = :id
""")

GIVE_UP = text("""
    WITH late AS (
        SELECT m.id FROM sms s JOIN message m ON m.id = s.message_id
        WHERE s.awaited AND m.state = 'sent'
          AND s.sent_at < clock_timestamp() - CAST(:kept AS interval)
        ORDER BY m.id LIMIT :batch FOR UPDATE OF m SKIP LOCKED),
    told AS (UPDATE message SET why = :why FROM late WHERE message.id = late.id)
    UPDATE sms SET awaited = false, unconfirmed_at = clock_timestamp()
    FROM late WHERE sms.message_id = late.id
""")


def expect(connection: Connection, attempt: uuid.UUID) -> None:
    """An SMS may have gone: have its delivery reports asked for before long.

    Args:
        connection: of the settling; the row of the poll is the last that it locks.
        attempt: just closed.
    """
    connection.execute(EXPECT, {"attempt": attempt})


def ensure(connection: Connection, base_url: str, integration_id: str) -> None:
    """Make the row of an integration ID, where there is none.

    Accounts of the same integration ID share its reports, and so its row.
    """
    connection.execute(ENSURE, {"base_url": base_url, "integration_id": integration_id})


def due(connection: Connection, silent_after: timedelta) -> Sequence[Row[Any]]:
    """Take the polls that are due, each for one of several beats.

    Args:
        connection: commit before they are enqueued.
        silent_after: a process without a heartbeat for so long is silent.

    Returns:
        `poll_id`, and the OAC `server` with a process for SMS that shall ask.
    """
    values = {"silent_after": silent_after, "watched": WATCHED, "quiet": QUIET}
    return connection.execute(DUE, values).all()


def until_next(connection: Connection) -> timedelta:
    """How long until the next poll is due that is not due yet; at most an hour."""
    found: timedelta = connection.execute(NEXT_DUE).scalar_one()
    return found


def untake(connection: Connection, poll_ids: Sequence[int]) -> None:
    """Make polls due again that could not be enqueued."""
    connection.execute(UNTAKE, {"ids": list(poll_ids)})


def account(connection: Connection, poll_id: int) -> Row[Any] | None:
    """An enabled account of the integration ID, in whose name to ask; None if there is none.

    Also whether its `balance_is_old`.
    """
    return connection.execute(ACCOUNT, {"id": poll_id, "old": BALANCE_IS_OLD}).one_or_none()


def note_balance(connection: Connection, poll_id: int, balance: Decimal) -> None:
    """Keep the credit of an integration ID, in EUR, at all accounts that share it."""
    connection.execute(NOTE_BALANCE, {"id": poll_id, "balance": balance})


def hold(
    connection: Connection, poll_id: int, holder: uuid.UUID, hold_for: timedelta, trxid: str
) -> str | None:
    """Take the row for asking, or keep it for longer.

    Args:
        connection: commit before asking.
        poll_id: the row.
        holder: a token of this poller's own.
        hold_for: after this, others may take it.
        trxid: to ask with, if none is in hand.

    Returns:
        The trxid to ask with; None if another holds the row.
    """
    values = {"id": poll_id, "holder": holder, "hold": hold_for, "trxid": trxid}
    found: str | None = connection.execute(HOLD, values).scalar()
    return found


def taken_in(connection: Connection, poll_id: int, trxid: str) -> None:
    """All reports that came with this trxid are stored: the next question gets a new one."""
    connection.execute(TAKEN_IN, {"id": poll_id, "trxid": trxid})


def release(connection: Connection, poll_id: int, holder: uuid.UUID, *, again: bool) -> None:
    """Let the row go, if it is still ours; `again` if there may be more reports at once."""
    connection.execute(RELEASE, {"id": poll_id, "holder": holder, "again": again})


def fail(connection: Connection, poll_id: int, holder: uuid.UUID, why: str) -> None:
    """Let the row go, its trxid in hand, and have it asked for later each time.

    Args:
        connection: within a transaction.
        poll_id: the row; it is left alone if it is no longer ours.
        holder: our token.
        why: without secrets.
    """
    values = {"id": poll_id, "holder": holder, "why": why, "quiet": QUIET}
    connection.execute(FAIL, values)


def near_the_end(connection: Connection, poll_id: int, most: int) -> Sequence[Row[Any]]:
    """SMS that are still open shortly before the gateway forgets them: `message_id`, `uuids`."""
    values = {
        "id": poll_id,
        "kept": KEPT_BY_GATEWAY,
        "after": ASK_ALONE_AFTER,
        "every": ASK_ALONE_EVERY,
        "batch": most,
    }
    return connection.execute(NEAR_THE_END, values).all()


def asked(connection: Connection, message_id: int, *, answered: bool) -> None:
    """The gateway was asked about this SMS alone."""
    ago = timedelta(0) if answered else NOT_ANSWERED
    connection.execute(ASKED, {"id": message_id, "ago": ago})


def give_up(connection: Connection) -> int:
    """Wait no longer for reports that the gateway no longer has; returns of how many SMS."""
    values = {"kept": KEPT_BY_GATEWAY, "why": NOT_CONFIRMED, "batch": BATCH}
    return connection.execute(GIVE_UP, values).rowcount
