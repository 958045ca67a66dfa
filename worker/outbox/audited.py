"""Reading the outbox for an audit: a time's messages, its unknown attempts, and its silences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

BATCH = 2000  # chosen: rows held in memory at once

# No index serves it: an audit is rare, and an index on created_at would cost every enqueue.
MESSAGES = text("""
    SELECT c.name AS company, t.name AS task, m.state, count(*) AS messages FROM message m
    JOIN company c ON c.id = m.company_id
    LEFT JOIN automatic_task t ON t.id = m.task_id
    WHERE m.created_at > :since AND m.created_at <= :until
    GROUP BY c.name, t.name, m.state ORDER BY c.name, t.name NULLS LAST, m.state
""")

ATTEMPTS = text("""
    SELECT t.name AS task, a.state, count(*) AS attempts, sum(a.cost) AS cost
    FROM attempt a JOIN automatic_task t ON t.id = a.task_id
    WHERE a.opened_at > :since AND a.opened_at <= :until
    GROUP BY t.id, t.name, a.state ORDER BY t.name, t.id, a.state
""")

# Who settles a message signs the log, but for the policy. A receipt may have come before the
# message was taken for unknown; then it counts as well.
UNKNOWN = text("""
    SELECT a.message_id, t.name AS task, a.opened_at, a.closed_at, m.state, decision.action,
        decision.at, decision.who, next.opened_at AS next_opened_at
    FROM attempt a
    JOIN message m ON m.id = a.message_id
    JOIN automatic_task t ON t.id = a.task_id
    LEFT JOIN LATERAL (
        SELECT l.action, l.at, l.who FROM audit_log l
        WHERE l.subject = 'message:' || a.message_id AND l.at >= a.opened_at
          AND (l.before ->> 'state' = 'unknown' AND l.after ->> 'state' <> 'unknown'
               OR l.action = 'receipt' AND l.before ->> 'state' = 'sending')
        ORDER BY l.at, l.id LIMIT 1) AS decision ON true
    LEFT JOIN LATERAL (
        SELECT n.opened_at FROM attempt n
        WHERE n.message_id = a.message_id AND n.opened_at > a.opened_at
        ORDER BY n.opened_at LIMIT 1) AS next ON true
    WHERE a.state = 'unknown' AND a.opened_at > :since AND a.opened_at <= :until
    ORDER BY a.opened_at
""")

# After a restore, messages are unknown of which the backup has no attempt that was unknown.
UNKNOWN_WITHOUT_ATTEMPT = text("""
    SELECT count(*) FROM message m WHERE m.state = 'unknown'
      AND NOT EXISTS (SELECT FROM attempt a WHERE a.message_id = m.id AND a.state = 'unknown')
""")

# The message that ended the silence is the witness: it was there, due, and not tried before.
SILENCES = text("""
    WITH step AS (
        SELECT a.task_id, a.message_id, a.opened_at AS until, coalesce(
            lag(a.opened_at) OVER (PARTITION BY a.task_id ORDER BY a.opened_at), :since) AS since
        FROM attempt a
        WHERE a.state <> 'void' AND a.opened_at > :since AND a.opened_at <= :until)
    SELECT t.name AS task, step.since, step.until, step.message_id, EXISTS (
        SELECT FROM task_run r WHERE r.task_id = step.task_id AND r.started_at <= step.since
          AND (r.ended_at IS NULL OR r.ended_at >= step.until)) AS run_was_open
    FROM step
    JOIN automatic_task t ON t.id = step.task_id
    JOIN message m ON m.id = step.message_id
    WHERE step.until - step.since > :silence
      AND m.created_at <= step.since AND m.not_before <= step.since
      AND NOT EXISTS (SELECT FROM attempt b
                      WHERE b.message_id = m.id AND b.opened_at < step.until)
      AND NOT EXISTS (SELECT FROM audit_log l WHERE l.subject = 'message:' || m.id
                      AND l.at > step.since AND l.at <= step.until)
    ORDER BY step.since, t.name
""")

# Runs of a task follow each other, so the last that had begun is the one to look at.
WITHOUT_RUN = text("""
    SELECT t.name AS task, count(*) AS attempts, min(a.opened_at) AS first,
        max(a.opened_at) AS last
    FROM attempt a
    JOIN automatic_task t ON t.id = a.task_id
    LEFT JOIN LATERAL (
        SELECT r.id, r.ended_at FROM task_run r
        WHERE r.task_id = a.task_id AND r.started_at <= a.opened_at
        ORDER BY r.started_at DESC LIMIT 1) AS run ON true
    WHERE a.state <> 'void' AND a.opened_at > :since AND a.opened_at <= :until
      AND (run.id IS NULL OR run.ended_at + CAST(:grace AS interval) < a.opened_at)
    GROUP BY t.id, t.name ORDER BY t.name, t.id
""")


# What became of the SMS of a time, as their delivery reports prove.
SMS = text("""
    SELECT t.name AS task, count(*) AS accepted,
        count(*) FILTER (WHERE m.state = 'delivered') AS delivered,
        count(*) FILTER (WHERE m.state = 'undelivered') AS undelivered,
        count(*) FILTER (WHERE s.awaited) AS awaited,
        count(*) FILTER (WHERE s.unconfirmed_at IS NOT NULL) AS not_confirmed,
        sum(s.segments) AS segments, sum(s.price) AS price
    FROM sms s
    JOIN message m ON m.id = s.message_id
    JOIN automatic_task t ON t.id = m.task_id
    WHERE s.sent_at > :since AND s.sent_at <= :until
    GROUP BY t.id, t.name ORDER BY t.name, t.id
""")

# Each attempt's price was added to its day, and corrected with it: both must come to the same.
SPENT = text("""
    WITH charged AS (
        SELECT a.task_id, CAST(a.opened_at AT TIME ZONE c.time_zone AS date) AS day,
            sum(a.price) AS price
        FROM attempt a JOIN automatic_task t ON t.id = a.task_id
        JOIN company c ON c.id = t.company_id
        WHERE a.price IS NOT NULL AND a.opened_at > CAST(:since AS timestamptz) - interval '1 day'
          AND a.opened_at <= CAST(:until AS timestamptz) + interval '1 day'
        GROUP BY 1, 2)
    SELECT t.name AS task, s.day, s.spent, coalesce(charged.price, 0) AS attempts
    FROM sms_spend s
    JOIN automatic_task t ON t.id = s.task_id
    JOIN company c ON c.id = t.company_id
    LEFT JOIN charged ON charged.task_id = s.task_id AND charged.day = s.day
    WHERE s.day >= CAST(CAST(:since AS timestamptz) AT TIME ZONE c.time_zone AS date)
      AND s.day <= CAST(CAST(:until AS timestamptz) AT TIME ZONE c.time_zone AS date)
    ORDER BY t.name, s.day
""")


def messages(connection: Connection, since: datetime, until: datetime) -> Sequence[Row[Any]]:
    """How many messages enqueued in a time are in each state, by company and task."""
    return connection.execute(MESSAGES, {"since": since, "until": until}).all()


def attempts(connection: Connection, since: datetime, until: datetime) -> Sequence[Row[Any]]:
    """How many attempts opened in a time ended in each way, by task."""
    return connection.execute(ATTEMPTS, {"since": since, "until": until}).all()


def unknown(connection: Connection, since: datetime, until: datetime) -> Iterator[Row[Any]]:
    """Stream the attempts opened in a time that have no answer to this day, oldest first."""
    yield from connection.execute(
        UNKNOWN, {"since": since, "until": until}, execution_options={"yield_per": BATCH}
    )


def unknown_without_attempt(connection: Connection) -> int:
    """How many messages are unknown since a restore, without an attempt that tells why."""
    found: int = connection.execute(UNKNOWN_WITHOUT_ATTEMPT).scalar_one()
    return found


def silences(
    connection: Connection, since: datetime, until: datetime, longer_than: timedelta
) -> Sequence[Row[Any]]:
    """Where a task handed nothing over for so long although a message was due all the while."""
    values = {"since": since, "until": until, "silence": longer_than}
    return connection.execute(SILENCES, values).all()


def without_run(
    connection: Connection, since: datetime, until: datetime, grace: timedelta
) -> Sequence[Row[Any]]:
    """Attempts that no run in the journal accounts for, by task.

    Args:
        connection: any.
        since: opened after this.
        until: and not after this.
        grace: the longest from a run's last sweep to the last attempt that it may lead to.
    """
    values = {"since": since, "until": until, "grace": grace}
    return connection.execute(WITHOUT_RUN, values).all()


def sms(connection: Connection, since: datetime, until: datetime) -> Sequence[Row[Any]]:
    """What delivery reports say of the SMS that the gateway accepted in a time, by task."""
    return connection.execute(SMS, {"since": since, "until": until}).all()


def spent(connection: Connection, since: datetime, until: datetime) -> Sequence[Row[Any]]:
    """What was charged to budgets on the days of a time, and what the attempts of each come to."""
    return connection.execute(SPENT, {"since": since, "until": until}).all()
