"""Through which SMTP account a sweep releases: the task's own, or one that it falls back to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from worker.core import fallback
from worker.outbox import journal, routes


def through(
    connection: Connection, task: Row[Any], silent_after: timedelta
) -> tuple[Row[Any], str | None]:
    """The task with the account that it goes through now, and why it is not its own.

    Args:
        connection: in the sweep's transaction.
        task: from `journal.swept`.
        silent_after: a process without a heartbeat for so long holds no connection.
    """
    if not task.falls_back:
        return task, None
    known = routes.standings(connection, task.id, task.now, silent_after)
    chosen = fallback.in_charge(known, task.now)
    if chosen.account_id == task.account_id:
        return task, None
    other = journal.swept(connection, task.id, chosen.account_id)
    return other or task, fallback.detour(known, chosen, task.now)
