"""OAC servers: they register themselves by heartbeat, or are made known beforehand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from models.automation import AutomaticTask
from models.fleet import Process, Server
from models.states import Channel
from settings.names import SERVER_NAME
from worker.core.content import shown
from worker.outbox import figures
from worker.registers import RegisterError, audit, waking
from worker.registers.naming import find, refuse_taken
from worker.registers.stand_ins import in_charge


def add_server(connection: Connection, name: str) -> int:
    """Make a server known before its first worker registers it; returns its id.

    Raises:
        RegisterError: the name is taken, or is none for a server.
    """
    if not SERVER_NAME.fullmatch(name):
        raise RegisterError(
            f"{shown(name)} cannot be an OAC server's name",
            "use a to z, 0 to 9 and -, at most 31, beginning with a letter, such as main",
        )
    refuse_taken(connection, Server, name)
    return audit.add(connection, Server, "server", {"name": name})


def pause_server(connection: Connection, name: str) -> bool:
    """Let a server send nothing until it is resumed; whether it was not paused.

    Raises:
        RegisterError: there is none of that name.
    """
    return _set_paused(connection, name, True)


def resume_server(connection: Connection, name: str) -> bool:
    """Let a paused server send again, at once; whether it was paused.

    Raises:
        RegisterError: there is none of that name.
    """
    return _set_paused(connection, name, False)


def servers(
    connection: Connection, *, silent_after: timedelta, window: timedelta, longest: timedelta
) -> list[dict[str, Any]]:
    """All servers by name, each with its processes and what it has to do.

    Args:
        connection: the caller's transaction.
        silent_after: a process without a heartbeat for this long is silent.
        window: of the cadence; what was sent in the last one is counted.
        longest: the most between an attempt's opening and its answer.
    """
    found = connection.execute(select(Server.id, Server.name, Server.paused).order_by(Server.name))
    listing = []
    for server in found.all():
        processes = _processes(connection, server.id, silent_after)
        tasks = _tasks(connection, server.id)
        waiting = figures.backlog(connection, tasks)
        listing.append(
            {
                "name": server.name,
                "state": state_of(server.paused, processes),
                **_totals(processes),
                "tasks": len(tasks),
                "stands_in": _stands_in(connection, server.id),
                "backlog": waiting.least,
                "backlog_is_more": waiting.more,
                "on_the_way": figures.on_the_way(connection, tasks),
                "sent_last_hour": figures.sent(connection, tasks, window, longest),
                "each": processes,
            }
        )
    return listing


def state_of(paused: bool, processes: list[dict[str, Any]]) -> str:
    """What a server does, in a word or two.

    >>> state_of(False, []), state_of(True, [{"silent": False}])
    ('no worker', 'paused')
    """
    if paused:
        return "paused"
    if not processes:
        return "no worker"
    return "silent" if all(one["silent"] for one in processes) else "live"


def is_alive(
    connection: Connection, server_id: int, silent_after: timedelta, channel: Channel
) -> bool:
    """Whether a process of a server beats its heart that sends messages of a channel."""
    slots = "sms_slots" if channel is Channel.SMS else "slots"
    processes = _processes(connection, server_id, silent_after)
    return any(not one["silent"] and one[slots] > 0 for one in processes)


def _set_paused(connection: Connection, name: str, paused: bool) -> bool:
    server = find(connection, Server, name, lock=True)
    action = "pause" if paused else "resume"
    values = {"paused": paused}
    changed = audit.change(connection, Server, "server", server.id, values, action=action)
    if changed and not paused:
        waking.wake(connection, server=server.id)
    return bool(changed)


def _tasks(connection: Connection, server_id: int) -> list[int]:
    query = select(AutomaticTask.id).where(in_charge() == server_id)
    return list(connection.execute(query).scalars())


def _stands_in(connection: Connection, server_id: int) -> int:
    """How many tasks of other servers it is in charge of."""
    query = select(func.count()).where(
        AutomaticTask.acting_server_id == server_id, AutomaticTask.server_id != server_id
    )
    return connection.execute(query).scalar_one()


def _processes(
    connection: Connection, server_id: int, silent_after: timedelta
) -> list[dict[str, Any]]:
    now = func.clock_timestamp()
    query = (
        select(
            Process.host,
            Process.pid,
            Process.version,
            Process.slots,
            Process.sms_slots,
            Process.clock_offset_ms,
            Process.started_at,
            Process.beat_at,
            (Process.beat_at <= now - silent_after).label("silent"),
            func.extract("epoch", now - Process.beat_at).label("heard_seconds_ago"),
        )
        .where(Process.server_id == server_id)
        .order_by(Process.host, Process.pid)
    )
    rows = [dict(row._mapping) for row in connection.execute(query)]
    return [row | {"heard_seconds_ago": round(float(row["heard_seconds_ago"]))} for row in rows]


def _totals(processes: list[dict[str, Any]]) -> dict[str, Any]:
    live = [one for one in processes if not one["silent"]]
    heard = [one["heard_seconds_ago"] for one in processes]
    return {
        "live": len(live),
        "silent": len(processes) - len(live),
        "slots": sum(one["slots"] for one in live),
        "sms_slots": sum(one["sms_slots"] for one in live),
        "version": sorted({one["version"] for one in live}),
        "heard_seconds_ago": min(heard, default=None),
    }
