"""Making automatic tasks look at once at what was changed around them."""

from __future__ import annotations

from sqlalchemy import Connection, func, select, update

from models.automation import AutomaticTask

CHANNEL = "kadencia_task"
"""Beat listens to it; the payload is the automatic task's id."""


def wake(connection: Connection, **of: int) -> int:
    """Have active automatic tasks swept as soon as this transaction is committed.

    Changes of a task's own row do that by a trigger; this is for all that it depends on.

    Args:
        connection: the caller's transaction.
        of: columns to choose them by, as `server_id=3`; none for all.

    Returns:
        How many were woken.
    """
    columns = AutomaticTask.__table__.c
    chosen = [columns[name] == value for name, value in of.items()]
    # Always in the same order, so that two that wake the same tasks cannot deadlock.
    ordered = select(columns.id).where(columns.active, *chosen).order_by(columns.id)
    ids = list(connection.execute(ordered.with_for_update()).scalars())
    # A raised number makes a sweep that is under way stale: it has read what was before, and
    # must not put the next one off.
    connection.execute(
        update(AutomaticTask)
        .where(columns.id.in_(ids))
        .values(next_run_at=func.clock_timestamp(), sweep_no=columns.sweep_no + 1)
    )
    for task_id in ids:
        connection.execute(select(func.pg_notify(CHANNEL, str(task_id))))
    return len(ids)
