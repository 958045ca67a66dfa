"""Making automatic tasks look at once at what was changed around them."""

from __future__ import annotations

from sqlalchemy import Connection, func, or_, select, update

from models.automation import AutomaticTask
from models.smtp import TaskAccount
from worker.registers.stand_ins import in_charge

CHANNEL = "kadencia_task"
"""Beat listens to it; the payload is the automatic task's id."""


def wake(
    connection: Connection, account: int | None = None, server: int | None = None, **of: int
) -> int:
    """Have active automatic tasks swept as soon as this transaction is committed.

    Changes of a task's own row do that by a trigger; this is for all that it depends on.

    Args:
        connection: the caller's transaction.
        account: only tasks that have it, as their own or to fall back to.
        server: only tasks that this OAC server is in charge of.
        of: columns to choose them by, as `id=3`; none for all.

    Returns:
        How many were woken.
    """
    columns = AutomaticTask.__table__.c
    chosen = [columns[name] == value for name, value in of.items()]
    if account is not None:
        others = select(TaskAccount.task_id).where(TaskAccount.account_id == account)
        chosen.append(or_(columns.account_id == account, columns.id.in_(others)))
    if server is not None:
        chosen.append(in_charge() == server)
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
