"""`kadencia status`: what goes on, refreshed in place."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from models.states import Channel
from worker import status as facts
from worker.cli import context
from worker.cli.output import PIPE_WIDTH, JsonOption, console, show_json
from worker.status import BalanceStatus, ServerStatus, Status, TaskStatus


def status(
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Show servers, tasks, backlog and rate, until Ctrl-C.

    Where the output is no terminal, it is shown once.

    Example: kadencia status --once
    """
    if as_json:
        show_json(_plain(look()))
    elif not console.is_terminal:
        Console(width=PIPE_WIDTH).print(view(look()))
    elif once:
        console.print(view(look()))
    else:
        watch(interval)


def look() -> Status:
    """What goes on now."""
    with context.transaction() as connection:
        return facts.look(connection, context.settings())


def watch(interval: float) -> None:
    """Show it again and again, until Ctrl-C."""
    with Live(view(look()), console=console, auto_refresh=False, screen=False) as live:
        while True:
            time.sleep(interval)
            live.update(view(look()), refresh=True)


def view(status: Status) -> Group:
    """The status as a table under its notices."""
    parts: list[Any] = [Text(notice, style="bold red") for notice in status.notices]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("task", overflow="fold", min_width=12)
    table.add_column("state", overflow="fold", min_width=12)
    for heading in ("waiting", "on its way", "last hour"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("next slot", "expected end"):
        table.add_column(heading, no_wrap=True)
    companies = {task.company for task in status.tasks}
    for task in status.tasks:
        table.add_row(*_row(task, with_company=len(companies) > 1))
    none_yet = Text("no automatic task yet; `kadencia init` makes one")
    parts.append(table if status.tasks else none_yet)
    servers = ", ".join(_server(one) for one in status.servers) or "none has registered"
    parts.append(Text(f"OAC servers: {servers}"))
    parts.append(Text(f"unknown {status.unknown}   held {status.held}"))
    if status.balances:
        balances = ", ".join(_balance(one) for one in status.balances)
        parts.append(Text(f"SMS without a final report {status.awaited}   balance of {balances}"))
    parts += [
        Text(f"{one.messages} message(s) of {one.company} wait in vain: {one.why}", style="red")
        for one in status.stranded
    ]
    return Group(*parts)


def _server(one: ServerStatus) -> str:
    if one.paused:
        return f"{one.name} paused"
    slots = {"e-mails": one.slots, "SMS": one.sms_slots}
    sends = " and ".join(f"{count} {what}" for what, count in slots.items() if count)
    return f"{one.name} live ({sends} at once)" if one.live else f"{one.name} SILENT"


def _balance(one: BalanceStatus) -> str:
    if one.balance is None or one.at is None:
        return f"{one.account} unknown"
    return f"{one.account} {one.balance:.2f} EUR at {one.at.astimezone(one.zone):%d.%m. %H:%M}"


def _row(task: TaskStatus, *, with_company: bool) -> list[Any]:
    name = f"{task.company}: {task.task}" if with_company else task.task
    return [
        Text(f"{name} ({_where(task)}{', SMS' if task.channel == Channel.SMS else ''})"),
        Text(task.state),
        str(task.backlog),
        f"{task.on_the_way:,}",
        f"{task.sent:,} of {task.cadence:,}",
        _time(task, task.next_slot, "%H:%M:%S"),
        _time(task, task.end, "%d.%m. %H:%M"),
    ]


def _where(task: TaskStatus) -> str:
    own = task.stands_in_for
    return task.server if own is None else f"{task.server} in place of {own}"


def _time(task: TaskStatus, moment: datetime | None, shape: str) -> str:
    return "–" if moment is None else moment.astimezone(task.zone).strftime(shape)


def _plain(status: Status) -> dict[str, Any]:
    return asdict(status)
