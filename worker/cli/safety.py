"""`kadencia safety`, `stop-all`, `start-all`: what holds for all sending."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from worker.cli import context
from worker.cli.output import JsonOption, say, show_one
from worker.registers import safety as register
from worker.registers.companies import common_zone

app = typer.Typer(
    no_args_is_help=True, help="For trials: redirect mail, or send to listed recipients only."
)


@app.command("show")
def show(as_json: JsonOption = False) -> None:
    """Show whether sending is stopped, and whom messages may go to.

    Example: kadencia safety show
    """
    with context.transaction() as connection:
        state = register.installation(connection)
        zone = common_zone(connection)
    show_one({"mode": _mode(state), **state}, as_json, zone)


@app.command("redirect")
def redirect(
    address: Annotated[str, typer.Argument(help="Who gets every mail instead.")],
) -> None:
    """Send every mail to one address instead of its recipients; SMS are held.

    Example: kadencia safety redirect skuska@firma.example
    """
    with context.transaction() as connection:
        target = register.redirect(connection, address)
    say(f"every mail goes to {target} now, and SMS are held; `kadencia safety off` ends this")


@app.command("allow")
def allow(
    entries: Annotated[
        list[str], typer.Argument(help="Addresses, domains as @firma.example, or numbers in full.")
    ],
) -> None:
    """Let only listed recipients through; a message with any other is held.

    Example: kadencia safety allow @firma.example anna@ina.example +421903622237
    """
    with context.transaction() as connection:
        listed = register.allow(connection, entries)
    say(f"messages go only to {', '.join(listed)} now; `kadencia safety off` ends this")


@app.command("off")
def off() -> None:
    """Send to whomever a message names. What was held stays so until it is released.

    Example: kadencia safety off
    """
    with context.transaction() as connection:
        done = register.safety_off(connection)
    say("the safety mode is off now" if done else "the safety mode was off already")


def stop_all(
    why: Annotated[str | None, typer.Option("--why", help="Shown until sending goes on.")] = None,
) -> None:
    """Stop all sending, at once; a hand-over that has begun is ended first.

    Example: kadencia stop-all --why "omylom spustená kampaň"
    """
    with context.transaction() as connection:
        done = register.stop_all(connection, why)
    say(
        "nothing is sent now; `kadencia start-all` lets it go on"
        if done
        else "sending was stopped already"
    )


def start_all(
    reviewed: Annotated[
        bool,
        typer.Option("--reviewed", help="After a restore: unknown messages have been looked at."),
    ] = False,
) -> None:
    """Let sending go on after stop-all, or after a restore that a person has reviewed.

    Example: kadencia start-all
    """
    with context.transaction() as connection:
        done = register.start_all(connection, reviewed=reviewed)
    say("sending goes on" if done else "sending was not stopped")


def _mode(state: dict[str, Any]) -> str:
    if state["redirect_to"] is not None:
        return f"every mail goes to {state['redirect_to']}"
    if state["allowed"] is not None:
        return "only listed recipients"
    return "off"
