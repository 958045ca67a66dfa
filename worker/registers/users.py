"""Users: standard ones are people, system ones run automatic tasks and can never log in."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from models.automation import AutomaticTask
from models.organisation import User
from worker.core.content import shown
from worker.registers import RegisterError, audit
from worker.registers.naming import check_name, find, listed, refuse_taken

KINDS = ("standard", "system")


def add_user(
    connection: Connection,
    company: Row[Any],
    name: str,
    kind: str,
    *,
    administrator: bool = False,
) -> int:
    """Make a user.

    Args:
        connection: the caller's transaction.
        company: the row of the company it belongs to.
        name: unique in the company.
        kind: "standard" for a person, "system" for running automatic tasks.
        administrator: may raise the ceiling of a cadence; for a standard user only.

    Returns:
        Its id.

    Raises:
        RegisterError: the name is taken, the kind is none, or a system user is to administer.
    """
    if kind not in KINDS:
        raise RegisterError(f"{shown(kind)} is no kind of user", f"give {' or '.join(KINDS)}")
    if administrator and kind == "system":
        raise RegisterError(
            "a system user can never log in, so it cannot be an administrator",
            "make the administrator a standard user",
        )
    name = check_name(name, "user")
    refuse_taken(connection, User, name, company.id)
    values = {
        "company_id": company.id,
        "name": name,
        "kind": kind,
        "administrator": administrator,
    }
    return audit.add(connection, User, "user", values)


def users(connection: Connection, company_id: int) -> list[dict[str, Any]]:
    """A company's users, by name."""
    found = connection.execute(
        select(User.__table__).where(User.company_id == company_id).order_by(User.name)
    )
    return [dict(row._mapping) for row in found]


def disable_user(connection: Connection, company: Row[Any], name: str) -> bool:
    """Disable a user; whether it was enabled.

    Raises:
        RegisterError: there is none of that name, or an active automatic task runs under it.
    """
    user = find(connection, User, name, company.id, lock=True)
    running = connection.execute(
        select(AutomaticTask.name)
        .where(AutomaticTask.user_id == user.id, AutomaticTask.active)
        .order_by(AutomaticTask.name)
    )
    names = list(running.scalars())
    if names:
        raise RegisterError(
            f"active automatic tasks run under {shown(user.name)}: {listed(names)}",
            "pause them, or give them another user, first",
        )
    return _set_disabled(connection, user, True)


def enable_user(connection: Connection, company: Row[Any], name: str) -> bool:
    """Enable a user; whether it was disabled.

    Raises:
        RegisterError: there is none of that name.
    """
    return _set_disabled(connection, find(connection, User, name, company.id, lock=True), False)


def system_user(connection: Connection, company_id: int, name: str) -> Row[Any]:
    """The user under whom an automatic task is to run; nobody disables it meanwhile.

    Raises:
        RegisterError: there is none of that name, it is a standard user, or it is disabled.
    """
    user = find(connection, User, name, company_id, lock=True)
    if user.kind != "system":
        raise RegisterError(
            f"{shown(user.name)} is a standard user, a person, and cannot run an automatic task",
            "name a system user; `kadencia user add NAME --system` makes one",
        )
    if user.disabled:
        raise RegisterError(
            f"the system user {shown(user.name)} is disabled",
            f"enable it with `kadencia user enable {shown(user.name)}`, or name another",
        )
    return user


def administrator(connection: Connection, company_id: int, name: str) -> Row[Any]:
    """The person who answers for a raised ceiling.

    Raises:
        RegisterError: there is none of that name, or it is no enabled administrator.
    """
    user = find(connection, User, name, company_id)
    if not user.administrator or user.disabled:
        why = "is disabled" if user.disabled else "is no administrator"
        raise RegisterError(
            f"{shown(user.name)} {why}",
            "name a standard user who administers, with --by; "
            "`kadencia user add NAME --administrator` makes one",
        )
    return user


def _set_disabled(connection: Connection, user: Row[Any], disabled: bool) -> bool:
    action = "disable" if disabled else "enable"
    return bool(
        audit.change(connection, User, "user", user.id, {"disabled": disabled}, action=action)
    )
