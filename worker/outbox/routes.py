"""Which SMTP accounts an automatic task has, and how each of them fares."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from worker.core.fallback import Standing
from worker.outbox import backlog

ACCOUNTS = text("""
    SELECT a.id, a.name, a.enabled, a.breaker_failures, a.breaker_until, a.breaker_why
    FROM (
        SELECT t.account_id, 0 AS position FROM automatic_task t WHERE t.id = :task
        UNION ALL
        SELECT k.account_id, k.position FROM task_account k WHERE k.task_id = :task) AS of_task
    JOIN account a ON a.id = of_task.account_id
    ORDER BY of_task.position
""")

DOMAIN_LIMIT = text("SELECT domain_hourly_limit FROM account WHERE id = :id")

PARTS = "o.log_in, o.cert_file, o.key_file, o.dsn, o.dsn_return, q.username AS oauth_username"
"""Columns that `OF_PARTS` adds to those of an SMTP account."""

OF_PARTS = """
    LEFT JOIN smtp_option o ON o.account_id = a.id
    LEFT JOIN smtp_oauth q ON q.account_id = a.id
"""

ACCOUNT = text(f"SELECT a.*, {PARTS} FROM account a {OF_PARTS} WHERE a.id = :id")  # noqa: S608


def account(connection: Connection, account_id: int) -> Row[Any]:
    """All of an SMTP account that its transport depends on."""
    return connection.execute(ACCOUNT, {"id": account_id}).one()


def standings(
    connection: Connection, task_id: int, now: datetime, silent_after: timedelta
) -> list[Standing]:
    """The accounts of a task, its own first, then those that it falls back to, in order.

    Args:
        connection: any.
        task_id: automatic task.
        now: PostgreSQL's.
        silent_after: a process without a heartbeat for so long holds no connection.
    """
    rows = connection.execute(ACCOUNTS, {"task": task_id}).all()
    return [_standing(connection, row, task_id, now, silent_after) for row in rows]


def domain_limit(connection: Connection, account_id: int) -> int | None:
    """The most recipients an hour that an account takes of one domain; None without a limit."""
    found: int | None = connection.execute(DOMAIN_LIMIT, {"id": account_id}).scalar_one()
    return found


def _standing(
    connection: Connection, row: Row[Any], task_id: int, now: datetime, silent_after: timedelta
) -> Standing:
    half_open = row.breaker_failures and (row.breaker_until is None or row.breaker_until <= now)
    busy = 0
    if half_open:
        busy = backlog.on_the_way(connection, row.id, task_id, silent_after).account_messages
    return Standing(
        account_id=row.id,
        name=row.name,
        enabled=row.enabled,
        failures=row.breaker_failures,
        until=row.breaker_until,
        why=row.breaker_why,
        on_the_way=busy,
    )
