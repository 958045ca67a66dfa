"""`kadencia intake`: what services handed in by SQL or Celery, and what was rejected of it."""

from __future__ import annotations

from typing import Annotated

import typer

from models.states import IntakeState
from worker import intake
from worker.cli import context
from worker.cli.output import CommandError, Exit, JsonOption, say, show_one, show_rows, warn

app = typer.Typer(
    no_args_is_help=True, help="What services handed in by SQL or Celery, and was rejected."
)

Numbers = Annotated[list[int] | None, typer.Argument(help="Numbers, as they are listed.")]


@app.command("list")
def listing(
    state: Annotated[
        IntakeState | None, typer.Option(help="Only those; by default what was rejected.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Whatever its state.")] = False,
    most: Annotated[int, typer.Option(min=1, help="The most that are shown.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List what was handed in and cannot be sent as it is, newest first.

    Example: kadencia intake list
    """
    wanted = None if everything else (state or IntakeState.REJECTED).value
    with context.transaction() as connection:
        rows = intake.listing(connection, intake.Look(state=wanted, most=most + 1))
    columns = ["id", "state", "source", "channel", "company", "why", "key", "origin", "created_at"]
    show_rows(rows[:most], columns, as_json)
    if len(rows) > most:
        warn(f"there are more than {most}; raise --most")


@app.command("show")
def show(
    number: Annotated[int, typer.Argument(help="As it is listed.")], as_json: JsonOption = False
) -> None:
    """Show one with all that was handed in, addresses and text too.

    Example: kadencia intake show 12
    """
    with context.transaction() as connection:
        found = intake.look(connection, number)
    show_one(found, as_json)


@app.command("retry")
def retry(
    numbers: Numbers = None,
    everything: Annotated[bool, typer.Option("--all", help="All that were rejected.")] = False,
) -> None:
    """Take in anew what was rejected, once what was missing is there.

    The exit code is 1 if something is rejected again.

    Example: kadencia intake retry 12
    """
    with context.transaction() as connection:
        again = intake.retry(connection, _named(numbers, everything))
    while intake.take_in(context.engine(), context.settings()):
        pass
    with context.transaction() as connection:
        rows = [intake.listing(connection, intake.Look(id=one))[0] for one in again]
    show_rows(rows, ["id", "state", "message_id", "why"], False)
    if any(row["state"] == IntakeState.REJECTED for row in rows):
        raise typer.Exit(Exit.FAILED)


@app.command("dismiss")
def dismiss(
    numbers: Numbers = None,
    everything: Annotated[bool, typer.Option("--all", help="All that were rejected.")] = False,
) -> None:
    """Give up what was rejected: its content is dropped, and its alarm is over.

    Example: kadencia intake dismiss 12
    """
    with context.transaction() as connection:
        gone = intake.dismiss(connection, _named(numbers, everything))
    say(f"dismissed: {len(gone)}")


def _named(numbers: list[int] | None, everything: bool) -> list[int] | None:
    """The numbers; None for all."""
    if bool(numbers) == everything:
        raise CommandError("give the numbers of some, or --all")
    return numbers or None
