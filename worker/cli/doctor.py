"""`kadencia doctor`: does everything work, and if not, what helps?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from settings import SettingsError
from worker import bootstrap, redis_servers
from worker.cli.output import Exit, JsonOption, console, show_json
from worker.doctor import Finding, Installation, Level, examine
from worker.doctor.findings import fault, ok

SIGNS = {
    Level.OK: "[green]ok     [/]",
    Level.WARNING: "[yellow]warning[/]",
    Level.FAULT: "[red]FAULT  [/]",
}


def doctor(
    as_json: JsonOption = False,
    smtp: Annotated[
        bool,
        typer.Option(
            "--smtp/--no-smtp",
            help="Try a log-in at each SMTP account, and a dry run at each of EuroSMS.",
        ),
    ] = True,
) -> None:
    """Check everything that mail needs to go out, and say how to mend what fails.

    Nothing is changed and no mail is sent. The exit code is 1 if there is a fault; warnings
    are none.

    Example: kadencia doctor --no-smtp
    """
    found = list(_found(smtp) if as_json else _shown(_found(smtp)))
    faults = sum(one.level is Level.FAULT for one in found)
    warnings = sum(one.level is Level.WARNING for one in found)
    if as_json:
        show_json({"healthy": not faults, "findings": [asdict(one) for one in found]})
    elif faults or warnings:
        console.print(f"\n{_counted(faults, 'fault')}, {_counted(warnings, 'warning')}")
    else:
        console.print("\nAll is well.")
    raise typer.Exit(Exit.FAILED if faults else Exit.DONE)


def _found(smtp: bool) -> Iterator[Finding]:
    try:
        settings = bootstrap.read_settings(os.environ)
        kit = bootstrap.make_kit(settings, "doctor")
        client = redis_servers.client(settings)
    except SettingsError as error:
        what, _, mend = str(error).partition("; ")
        yield fault("settings", what, mend or "correct the variable")
        return
    yield ok("settings", "complete")
    yield from examine(
        Installation(settings, kit.engine, client, kit.throttle, kit.vault, smtp=smtp)
    )


def _shown(found: Iterable[Finding]) -> Iterator[Finding]:
    """Print each finding as soon as it is there: log-ins take a while."""
    for one in found:
        name = f"[bold]{escape(one.name)}[/]" if one.level is not Level.OK else escape(one.name)
        console.print(f"{SIGNS[one.level]}  {name}: {escape(one.what)}")
        if one.mend:
            console.print(f"         → {escape(one.mend)}")
        yield one


def _counted(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"
