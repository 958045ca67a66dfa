"""Automatic tasks: made in the original's eight steps, and changed by the same rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, select, update

from models.automation import AutomaticTask
from models.organisation import User
from models.sms import SmsTask
from models.states import Channel
from worker.core.content import shown
from worker.registers import RegisterError, audit, waking
from worker.registers.naming import find
from worker.registers.task_parts import change_task, make_task
from worker.registers.users import system_user


def create_task(connection: Connection, company: Row[Any], values: Mapping[str, Any]) -> int:
    """Make an automatic task that sends e-mails.

    Args:
        connection: the caller's transaction.
        company: the row of the company whose messages it sends.
        values: columns of `models.automation.AutomaticTask`; in place of ids the names
            `server`, `user` and `smtp`, lists of names `establishments`, `fallbacks` (SMTP
            accounts) and `stand_ins` (OAC servers), and with a `cadence_ceiling` the administrator
            who answers for it, `by`.

    Returns:
        Its id.

    Raises:
        RegisterError: a rule is broken, or something named is not there.
        AddressError: an address of the sender is none.
    """
    return make_task(connection, company, values, Channel.EMAIL)


def set_task(
    connection: Connection, task: Row[Any], company: Row[Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Change an automatic task that sends e-mails; it takes effect with the commit.

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
    refuse_other(task, Channel.EMAIL)
    changed = change_task(connection, task, company, values)
    if changed:
        waking.wake(connection, id=task.id)
    return changed


def pause_task(connection: Connection, task: Row[Any]) -> bool:
    """Let a task release nothing more; whether it was active.

    One that the product had paused is a person's own pause from then on, and no alarm any more.
    """
    return _set_active(connection, task, False)


def resume_task(connection: Connection, task: Row[Any], company: Row[Any]) -> bool:
    """Let a paused task run again, at once; whether it was paused.

    Why the product paused it, and that its budget was used up, is forgotten: if it is still so,
    the next SMS will find out.

    Raises:
        RegisterError: its user is disabled.
    """
    name = connection.execute(select(User.name).where(User.id == task.user_id)).scalar_one()
    system_user(connection, company.id, name)
    connection.execute(
        update(SmsTask).where(SmsTask.task_id == task.id).values(exhausted_until=None)
    )
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


def refuse_other(task: Row[Any], channel: Channel) -> None:
    """Refuse a task of the other channel.

    Raises:
        RegisterError: it is one.
    """
    if task.channel == channel:
        return
    what = {Channel.EMAIL: "e-mails", Channel.SMS: "SMS"}
    command = {Channel.EMAIL: "kadencia task set", Channel.SMS: "kadencia task set-sms"}
    raise RegisterError(
        f"the automatic task {shown(task.name)} sends {what[task.channel]}, not {what[channel]}",
        f"name another (`kadencia task list` shows them); `{command[task.channel]}` changes it",
    )


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


def _set_active(connection: Connection, task: Row[Any], active: bool) -> bool:
    action = "resume" if active else "pause"
    values = {"active": active, "paused_why": None}
    changed = audit.change(connection, AutomaticTask, "task", task.id, values, action=action)
    waking.wake(connection, id=task.id)
    return "active" in changed
