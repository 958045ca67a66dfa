"""`kadencia server`: OAC servers, what they do and how much waits for them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from worker.cli import context
from worker.cli.output import JsonOption, at_least, say, show_rows
from worker.registers import servers as register

app = typer.Typer(no_args_is_help=True, help="OAC servers: their processes, backlog and rate.")

COLUMNS = [
    "name",
    "state",
    "live",
    "silent",
    "slots",
    "sms_slots",
    "version",
    "stands_in",
    "backlog",
    "on_the_way",
    "sent_last_hour",
    "heard",
]

NameArgument = Annotated[str, typer.Argument(help="As `kadencia worker --server` calls it.")]


@app.command("add")
def add(name: NameArgument) -> None:
    """Make a server known before its first worker registers it by itself.

    Example: kadencia server add main
    """
    with context.transaction() as connection:
        register.add_server(connection, name)
    say(f"OAC server {name} is known; start it with `kadencia worker --server {name}`")


@app.command("list")
def listing(as_json: JsonOption = False) -> None:
    """List all servers: live and silent processes, backlog, and what was sent in the last hour.

    Example: kadencia server list
    """
    with context.transaction() as connection:
        rows = register.servers(
            connection,
            silent_after=context.silent_after(),
            window=context.window(),
            longest=context.longest_handover(),
        )
    show_rows(rows if as_json else [_readable(row) for row in rows], COLUMNS, as_json)


@app.command("pause")
def pause(name: NameArgument) -> None:
    """Let a server send nothing until it is resumed.

    Example: kadencia server pause main
    """
    with context.transaction() as connection:
        done = register.pause_server(connection, name)
    say(f"OAC server {name} {'is paused now' if done else 'was paused already'}")


@app.command("resume")
def resume(name: NameArgument) -> None:
    """Let a paused server send again.

    Example: kadencia server resume main
    """
    with context.transaction() as connection:
        done = register.resume_server(connection, name)
    say(f"OAC server {name} {'is resumed' if done else 'was not paused'}")


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    seconds = row["heard_seconds_ago"]
    heard = None if seconds is None else f"{seconds} s ago"
    return row | {"heard": heard, "backlog": at_least(row, "backlog")}
