"""What the alarms and the doctor look at, read from the database."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, text

from worker.core.alarms import AccountFacts, Facts, TaskFacts

FAILURES_WINDOW = timedelta(minutes=15)
STRANDED_AFTER = timedelta(seconds=60)
"""Chosen: a server that is restarted is back by then."""

INSTALLATION = text("""
    SELECT CASE WHEN stopped_at IS NOT NULL THEN coalesce(stopped_why, '') END AS stopped_why,
        restored FROM installation
""")

UNKNOWN = text("""
    SELECT task_id, count(*) FROM message WHERE state = 'unknown' GROUP BY task_id
""")

ATTEMPTS = text("""
    SELECT task_id, count(*) AS attempts, count(*) FILTER (WHERE state = 'rejected') AS rejected
    FROM attempt
    WHERE opened_at > statement_timestamp() - :window AND state NOT IN ('open', 'void')
    GROUP BY task_id
""")

# Beat makes a task due when there is mail for it, and passes over one without a server.
TASKS = text("""
    SELECT t.id, t.name, s.name AS server,
        coalesce(t.next_run_at < clock_timestamp() - :stranded_after, false)
        AND t.active AND NOT EXISTS (
            SELECT FROM process p
            WHERE p.server_id = s.id AND p.beat_at > clock_timestamp() - :silent_after) AS stranded
    FROM automatic_task t JOIN server s ON s.id = t.server_id ORDER BY t.id
""")

ACCOUNTS = text("""
    SELECT id, name, breaker_failures, breaker_until, coalesce(breaker_why, '') AS why
    FROM account WHERE enabled AND breaker_failures > 0 ORDER BY id
""")

# An ordered stop takes its process's row away; one that is left and old tells of a crash.
SILENT = text("""
    SELECT s.name FROM server s JOIN process p ON p.server_id = s.id
    GROUP BY s.name HAVING max(p.beat_at) < clock_timestamp() - :silent_after
""")


def facts(connection: Connection, silent_after: timedelta) -> Facts:
    """Everything that an alarm can come from, as it is now."""
    installation = connection.execute(INSTALLATION).one()
    accounts = connection.execute(ACCOUNTS).all()
    return Facts(
        stopped_why=installation.stopped_why,
        restored=installation.restored,
        tasks=_tasks(connection, silent_after),
        accounts=[
            AccountFacts(a.id, a.name, a.breaker_failures, a.breaker_until, a.why) for a in accounts
        ],
        silent_servers=list(connection.execute(SILENT, {"silent_after": silent_after}).scalars()),
    )


def _tasks(connection: Connection, silent_after: timedelta) -> list[TaskFacts]:
    unknown = unknown_messages(connection)
    attempts = {
        row.task_id: row for row in connection.execute(ATTEMPTS, {"window": FAILURES_WINDOW})
    }
    found = [
        TaskFacts(
            id=row.id,
            name=row.name,
            server=row.server,
            unknown=unknown.get(row.id, 0),
            attempts=attempts[row.id].attempts if row.id in attempts else 0,
            rejected=attempts[row.id].rejected if row.id in attempts else 0,
            stranded=row.stranded,
        )
        for row in connection.execute(
            TASKS, {"silent_after": silent_after, "stranded_after": STRANDED_AFTER}
        )
    ]
    if None in unknown:  # after a restore: nobody has released them yet
        found.append(TaskFacts(None, "the outbox", "", unknown=unknown[None]))
    return found


def unknown_messages(connection: Connection) -> dict[int | None, int]:
    """How many messages are unknown, by the automatic task that released them last."""
    return {row[0]: row[1] for row in connection.execute(UNKNOWN)}
