"""What automatic tasks of both channels are made of: what they refer to by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from models.automation import AutomaticTask, TaskEstablishment
from models.fleet import Server
from models.organisation import Establishment
from models.states import Channel
from worker.core.content import shown
from worker.registers import RegisterError, audit, stand_ins, waking
from worker.registers.accounts import check_ranges
from worker.registers.fallbacks import set_fallbacks
from worker.registers.naming import ACCOUNTS, find, find_account, refuse_taken
from worker.registers.task_rules import DEFAULTS, check_numbers, normalised
from worker.registers.users import administrator, system_user

ACCOUNT_PARTS = {Channel.EMAIL: "smtp", Channel.SMS: "eurosms"}
"""How the account of a task is named, by its channel."""

PARTS = frozenset(
    {"server", "user", "establishments", "by", "fallbacks", "stand_ins", *ACCOUNT_PARTS.values()}
)
"""What a task refers to by name; the rest are columns."""


def make_task(
    connection: Connection, company: Row[Any], values: Mapping[str, Any], channel: Channel
) -> int:
    """Make an automatic task, but for what SMS alone need.

    Args:
        connection: the caller's transaction.
        company: the row of the company whose messages it sends.
        values: columns of `models.automation.AutomaticTask`, and names in place of ids: `PARTS`.
        channel: what it sends.

    Returns:
        Its id.

    Raises:
        RegisterError: a rule is broken, or something named is not there.
        AddressError: an address of the sender is none.
    """
    columns = _columns(connection, company, values, channel)
    check_numbers(DEFAULTS | columns, channel)
    refuse_taken(connection, AutomaticTask, columns["name"], company.id)
    places = _establishments(connection, company, values.get("establishments", ()))
    row = {"company_id": company.id, "channel": channel.value, **columns}
    made = audit.add(connection, AutomaticTask, "task", row)
    _write_establishments(connection, company.id, made, places)
    if "fallbacks" in values:
        set_fallbacks(connection, company, made, values["fallbacks"])
    if "stand_ins" in values:
        stand_ins.set_stand_ins(connection, made, values["stand_ins"])
    _log_ceiling(connection, made, None, values)
    if columns.get("active"):
        waking.wake(connection, id=made)
    return made


def change_task(
    connection: Connection, task: Row[Any], company: Row[Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Change an automatic task, but for what SMS alone need; returns what differs.

    Raises:
        RegisterError, AddressError: as `make_task`.
    """
    columns = _columns(connection, company, values, Channel(task.channel))
    check_numbers({**task._mapping, **columns}, Channel(task.channel))
    if columns.get("name", task.name) != task.name:
        refuse_taken(connection, AutomaticTask, columns["name"], company.id)
    if columns.get("server_id", task.server_id) != task.server_id:  # it is in charge at once
        columns |= {"acting_server_id": None, "back_since": None}
    changed: dict[str, Any] = {}
    if columns:
        changed = audit.change(connection, AutomaticTask, "task", task.id, columns)
    if "establishments" in values:
        changed |= _change_establishments(connection, company, task, values["establishments"])
    if "fallbacks" in values or "account_id" in changed:
        changed |= set_fallbacks(connection, company, task.id, values.get("fallbacks"))
    if "stand_ins" in values or "server_id" in changed:
        changed |= stand_ins.set_stand_ins(connection, task.id, values.get("stand_ins"))
    _log_ceiling(connection, task.id, task.cadence_ceiling, values)
    return changed


def _columns(
    connection: Connection, company: Row[Any], values: Mapping[str, Any], channel: Channel
) -> dict[str, Any]:
    """Columns of `models.automation.AutomaticTask`, with names turned into ids."""
    columns = normalised({name: v for name, v in values.items() if name not in PARTS})
    check_ranges(columns, stand_ins.AFTER)
    if "server" in values:
        columns["server_id"] = find(connection, Server, values["server"]).id
    if "user" in values:
        columns["user_id"] = system_user(connection, company.id, values["user"]).id
    if ACCOUNT_PARTS[channel] in values:
        name = values[ACCOUNT_PARTS[channel]]
        columns["account_id"] = _account(connection, company, name, channel).id
    if "cadence_ceiling" in columns or values.get("by") is not None:
        _check_by(connection, company, values)
    return columns


def _account(connection: Connection, company: Row[Any], name: str, channel: Channel) -> Row[Any]:
    account = find_account(connection, name, company.id, channel)
    if not account.enabled:
        what, command = ACCOUNTS[channel]
        raise RegisterError(
            f"the {what} {shown(account.name)} is disabled",
            f"enable it with `{command} enable {shown(account.name)}`, or name another",
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
