"""The SMTP accounts that an automatic task falls back to while its own refuses us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from models.automation import Account, AutomaticTask
from models.smtp import TaskAccount
from models.states import Channel
from worker.core.content import shown
from worker.registers import RegisterError, audit
from worker.registers.naming import find_account

MOST = 9
"""Chosen: whoever has more SMTP servers has one in front of them."""


def fallbacks_of(connection: Connection, task_id: int) -> list[str]:
    """The accounts that a task falls back to, by name, in order."""
    query = (
        select(Account.name)
        .join(TaskAccount, TaskAccount.account_id == Account.id)
        .where(TaskAccount.task_id == task_id)
        .order_by(TaskAccount.position)
    )
    return list(connection.execute(query).scalars())


def set_fallbacks(
    connection: Connection, company: Row[Any], task_id: int, names: Sequence[str] | None
) -> dict[str, Any]:
    """Say which accounts a task falls back to, in order; returns what differs.

    What was released through one that is no longer listed goes back at its claim.

    Args:
        connection: the caller's transaction.
        company: the row of the task's company.
        task_id: automatic task.
        names: of SMTP accounts; None leaves them as they are, and checks them all the same: the
            task's own account may have become one of them.

    Raises:
        RegisterError: one is not there, is listed twice, or is the task's own.
    """
    before = fallbacks_of(connection, task_id)
    after = before if names is None else [name.strip() for name in names]
    accounts = [find_account(connection, name, company.id, Channel.EMAIL) for name in after]
    _check(connection, task_id, accounts)
    if after == before:
        return {}
    connection.execute(delete(TaskAccount).where(TaskAccount.task_id == task_id))
    for position, account in enumerate(accounts, start=1):
        connection.execute(
            insert(TaskAccount).values(
                task_id=task_id, position=position, account_id=account.id, company_id=company.id
            )
        )
    audit.record(
        connection, "change", f"task:{task_id}", {"fallbacks": before}, {"fallbacks": after}
    )
    return {"fallbacks": after}


def _check(connection: Connection, task_id: int, accounts: Sequence[Row[Any]]) -> None:
    if len(accounts) > MOST:
        raise RegisterError(
            f"{len(accounts)} accounts to fall back to", f"name {MOST} at most, the best first"
        )
    query = select(AutomaticTask.account_id).where(AutomaticTask.id == task_id)
    seen = {connection.execute(query).scalar_one(): "is the task's own"}
    for account in accounts:
        if account.id in seen:
            raise RegisterError(
                f"the SMTP account {shown(account.name)} {seen[account.id]}, and cannot be one "
                f"to fall back to as well",
                "name each account once: the task's own with --smtp, the others with --fallback",
            )
        seen[account.id] = "is listed already"
