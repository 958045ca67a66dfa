"""`kadencia status`: what goes on, refreshed in place."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from worker import status as facts
from worker.cli import context
from worker.cli.output import JsonOption, console, show_json
from worker.status import Status, TaskStatus


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
    elif once or not console.is_terminal:
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
    for heading in ("task", "server", "state"):
        table.add_column(heading, overflow="fold")
    for heading in ("waiting", "on the way", "last hour", "cadence"):
        table.add_column(heading, justify="right")
    for heading in ("", "next slot", "expected end"):
        table.add_column(heading)
    for task in status.tasks:
        table.add_row(*_row(task))
    parts.append(
        table if status.tasks else Text("no automatic task yet; `kadencia init` makes one")
    )
    parts.append(Text(f"unknown {status.unknown}   held {status.held}"))
    parts += [
        Text(f"{one.messages} message(s) of {one.company} wait in vain: {one.why}", style="red")
        for one in status.stranded
    ]
    return Group(*parts)


def _row(task: TaskStatus) -> list[Any]:
    bar = ProgressBar(total=task.cadence, completed=min(task.sent, task.cadence), width=12)
    return [
        Text(f"{task.company}: {task.task}"),
        task.server,
        Text(task.state),
        str(task.backlog),
        f"{task.on_the_way:,}",
        f"{task.sent:,}",
        f"{task.cadence:,}",
        bar,
        _time(task, task.next_slot, "%H:%M:%S"),
        _time(task, task.end, "%d.%m. %H:%M"),
    ]


def _time(task: TaskStatus, moment: datetime | None, shape: str) -> str:
    return "–" if moment is None else moment.astimezone(task.zone).strftime(shape)


def _plain(status: Status) -> dict[str, Any]:
    return asdict(status)
