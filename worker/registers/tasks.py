"""Automatic tasks: made in the original's eight steps, and changed by the same rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from models.automation import Account, AutomaticTask, TaskEstablishment
from models.fleet import Server
from models.organisation import Establishment, User
from worker.core.content import shown
from worker.registers import RegisterError, audit, waking
from worker.registers.naming import find, refuse_taken
from worker.registers.task_rules import DEFAULTS, check_numbers, normalised
from worker.registers.users import administrator, system_user

PARTS = frozenset({"server", "user", "smtp", "establishments", "by"})
"""What a task refers to by name; the rest are columns."""


def create_task(connection: Connection, company: Row[Any], values: Mapping[str, Any]) -> int:
    """Make an automatic task.

    Args:
        connection: the caller's transaction.
        company: the row of the company whose messages it sends.
        values: columns of `models.automation.AutomaticTask`; in place of ids the names
            `server`, `user` and `smtp`, a list of names `establishments`, and with a
            `cadence_ceiling` the administrator who answers for it, `by`.

    Returns:
        Its id.

    Raises:
        RegisterError: a rule is broken, or something named is not there.
        AddressError: an address of the sender is none.
    """
    columns = _columns(connection, company, values)
    check_numbers(DEFAULTS | columns)
    refuse_taken(connection, AutomaticTask, columns["name"], company.id)
    places = _establishments(connection, company, values.get("establishments", ()))
    made = audit.add(connection, AutomaticTask, "task", {"company_id": company.id, **columns})
    _write_establishments(connection, company.id, made, places)
    _log_ceiling(connection, made, None, values)
    if columns.get("active"):
        waking.wake(connection, id=made)
    return made


def set_task(
    connection: Connection, task: Row[Any], company: Row[Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Change an automatic task; it takes effect with the commit.

    Args:
        connection: the caller's transaction.
        task: its row, locked.
        company: the row of its company.
        values: as `create_task` takes them, only those to be changed.

    Returns:
        What differs.

    Raises:
        RegisterError, AddressError: as `create_task`.
    """
    columns = _columns(connection, company, values)
    check_numbers({**task._mapping, **columns})
    if columns.get("name", task.name) != task.name:
        refuse_taken(connection, AutomaticTask, columns["name"], company.id)
    changed: dict[str, Any] = {}
    if columns:
        changed = audit.change(connection, AutomaticTask, "task", task.id, columns)
    if "establishments" in values:
        changed |= _change_establishments(connection, company, task, values["establishments"])
    _log_ceiling(connection, task.id, task.cadence_ceiling, values)
    if changed:
        waking.wake(connection, id=task.id)
    return changed


def pause_task(connection: Connection, task: Row[Any]) -> bool:
    """Let a task release nothing more; whether it was active."""
    return _set_active(connection, task, False)


def resume_task(connection: Connection, task: Row[Any], company: Row[Any]) -> bool:
    """Let a paused task run again, at once; whether it was paused.

    Raises:
        RegisterError: its user is disabled.
    """
    name = connection.execute(select(User.name).where(User.id == task.user_id)).scalar_one()
    system_user(connection, company.id, name)
    return _set_active(connection, task, True)


def run_now(connection: Connection, task: Row[Any]) -> None:
    """Have a task swept as soon as this transaction is committed.

    Raises:
        RegisterError: it is paused.
    """
    if not task.active:
        raise RegisterError(
            f"the automatic task {shown(task.name)} is paused",
            f"resume it with `kadencia task resume {shown(task.name)}`, which runs it as well",
        )
    waking.wake(connection, id=task.id)


def find_task(
    connection: Connection, company: Row[Any], name: str, *, lock: bool = False
) -> Row[Any]:
    """The row of a company's task.

    Args:
        connection: the caller's transaction.
        company: the row of its company.
        name: unique there.
        lock: for a change that follows at once; it holds up the task's sweeps.

    Raises:
        RegisterError: there is none of that name.
    """
    return find(connection, AutomaticTask, name, company.id, lock=lock)


def _columns(
    connection: Connection, company: Row[Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Columns of the task's own table, with names turned into ids."""
    columns = normalised({name: v for name, v in values.items() if name not in PARTS})
    if "server" in values:
        columns["server_id"] = find(connection, Server, values["server"]).id
    if "user" in values:
        columns["user_id"] = system_user(connection, company.id, values["user"]).id
    if "smtp" in values:
        columns["account_id"] = _account(connection, company, values["smtp"]).id
    if "cadence_ceiling" in columns or values.get("by") is not None:
        _check_by(connection, company, values)
    return columns


def _account(connection: Connection, company: Row[Any], name: str) -> Row[Any]:
    account = find(connection, Account, name, company.id)
    if not account.enabled:
        raise RegisterError(
            f"the SMTP account {shown(account.name)} is disabled",
            f"enable it with `kadencia smtp enable {shown(account.name)}`, or name another",
        )
    return account


def _check_by(connection: Connection, company: Row[Any], values: Mapping[str, Any]) -> None:
    if "cadence_ceiling" not in values:
        raise RegisterError(
            "an administrator is named, and no ceiling", "add --ceiling N, or leave out --by"
        )
    if values.get("by") is None:
        raise RegisterError(
            "only an administrator may set the ceiling of a cadence",
            "name the one who answers for it with --by ADMINISTRATOR",
        )
    administrator(connection, company.id, values["by"])


def _log_ceiling(
    connection: Connection, task_id: int, before: int | None, values: Mapping[str, Any]
) -> None:
    """Who answers for a ceiling; the trigger logs only that it was changed."""
    if "cadence_ceiling" in values:
        after = {"ceiling": values["cadence_ceiling"], "by": values["by"]}
        was = None if before is None else {"ceiling": before}
        audit.record(connection, "set ceiling", f"task:{task_id}", was, after)


def _establishments(
    connection: Connection, company: Row[Any], names: Sequence[str]
) -> dict[int, str]:
    found = [find(connection, Establishment, name, company.id) for name in names]
    return {row.id: row.name for row in found}


def _change_establishments(
    connection: Connection, company: Row[Any], task: Row[Any], names: Sequence[str]
) -> dict[str, Any]:
    new = _establishments(connection, company, names)
    old = establishments_of(connection, task.id)
    if set(old.values()) == set(new.values()):
        return {}
    connection.execute(delete(TaskEstablishment).where(TaskEstablishment.task_id == task.id))
    _write_establishments(connection, company.id, task.id, new)
    before, after = sorted(old.values()), sorted(new.values())
    audit.record(
        connection,
        "change",
        f"task:{task.id}",
        {"establishments": before},
        {"establishments": after},
    )
    return {"establishments": after}


def _write_establishments(
    connection: Connection, company_id: int, task_id: int, places: Mapping[int, str]
) -> None:
    for place in places:
        connection.execute(
            insert(TaskEstablishment).values(
                task_id=task_id, establishment_id=place, company_id=company_id
            )
        )


def establishments_of(connection: Connection, task_id: int) -> dict[int, str]:
    """Ids and names of the establishments that a task is limited to; {} for all."""
    found = connection.execute(
        select(Establishment.id, Establishment.name)
        .join(TaskEstablishment, TaskEstablishment.establishment_id == Establishment.id)
        .where(TaskEstablishment.task_id == task_id)
        .order_by(Establishment.name)
    )
    return {row.id: row.name for row in found}


def _set_active(connection: Connection, task: Row[Any], active: bool) -> bool:
    action = "resume" if active else "pause"
    values = {"active": active}
    changed = audit.change(connection, AutomaticTask, "task", task.id, values, action=action)
    if changed:
        waking.wake(connection, id=task.id)
    return bool(changed)
