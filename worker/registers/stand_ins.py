"""The OAC servers that stand in for that of an automatic task, and who is in charge of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement

from models.automation import AutomaticTask
from models.fleet import Server
from models.stand_ins import TaskServerChange, TaskStandIn
from worker.core.content import shown
from worker.registers import RegisterError, audit
from worker.registers.naming import find

MOST = 9
"""Chosen: more servers than that hardly fail one after the other."""

AFTER = {"stand_in_after": (10, 86_400, "seconds, which is 10 seconds to a day")}
"""At least two heartbeats; a stand-in that comes after more than a day is none."""


def in_charge() -> ColumnElement[int]:
    """The number of the server that an automatic task runs on at present."""
    return func.coalesce(AutomaticTask.acting_server_id, AutomaticTask.server_id)


def stand_ins_of(connection: Connection, task_id: int) -> list[str]:
    """The servers that stand in for a task's own, by name, in order."""
    query = (
        select(Server.name)
        .join(TaskStandIn, TaskStandIn.server_id == Server.id)
        .where(TaskStandIn.task_id == task_id)
        .order_by(TaskStandIn.place)
    )
    return list(connection.execute(query).scalars())


def set_stand_ins(
    connection: Connection, task_id: int, names: Sequence[str] | None
) -> dict[str, Any]:
    """Say which servers take a task over, in order, when its own is silent; what differs.

    One that is in charge and is named no more loses the task with the next look of a beat.

    Args:
        connection: the caller's transaction.
        task_id: automatic task.
        names: of OAC servers; None leaves them as they are, and checks them all the same: the
            task's own server may have become one of them.

    Raises:
        RegisterError: one is not there, is named twice, or is the task's own.
    """
    before = stand_ins_of(connection, task_id)
    after = before if names is None else [name.strip() for name in names]
    if len(after) > MOST:
        raise RegisterError(
            f"{len(after)} servers are to stand in", f"name {MOST} at most, in their order"
        )
    servers = {name: find(connection, Server, name).id for name in after}
    _check(connection, task_id, after)
    if after == before:
        return {}
    connection.execute(delete(TaskStandIn).where(TaskStandIn.task_id == task_id))
    for place, name in enumerate(after, start=1):
        row = {"task_id": task_id, "place": place, "server_id": servers[name]}
        connection.execute(insert(TaskStandIn).values(row))
    changed = {"stand_ins": before}, {"stand_ins": after}
    audit.record(connection, "change", f"task:{task_id}", *changed)
    return {"stand_ins": after}


def changes(connection: Connection, task_id: int, most: int) -> list[dict[str, Any]]:
    """When another server took charge of a task, and why; newest first."""
    was, became = aliased(Server), aliased(Server)
    query = (
        select(TaskServerChange.at, was.name, became.name, TaskServerChange.why)
        .join(was, was.id == TaskServerChange.from_server_id)
        .join(became, became.id == TaskServerChange.to_server_id)
        .where(TaskServerChange.task_id == task_id)
        .order_by(TaskServerChange.at.desc(), TaskServerChange.id.desc())
        .limit(most)
    )
    return [
        {"at": at, "from": old, "to": new, "why": why}
        for at, old, new, why in connection.execute(query)
    ]


def _check(connection: Connection, task_id: int, names: Sequence[str]) -> None:
    query = (
        select(Server.name)
        .join(AutomaticTask, AutomaticTask.server_id == Server.id)
        .where(AutomaticTask.id == task_id)
    )
    seen = {connection.execute(query).scalar_one(): "is the task's own server"}
    for name in names:
        if name in seen:
            raise RegisterError(
                f"the OAC server {shown(name)} {seen[name]}, and cannot stand in for it as well",
                "name each server once: the task's own with --server, the others with --stand-in",
            )
        seen[name] = "is named twice"
