"""`kadencia demo`: the main job before your eyes, on embedded servers, and its evidence."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from datetime import timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine

from settings import Settings
from worker import bootstrap, status
from worker.cli.demo import reminders
from worker.cli.demo.outcome import Outcome, read_outcome
from worker.cli.demo.stage import Stage, stage
from worker.cli.output import CommandError, Exit, console, say
from worker.cli.status import view

CADENCE = 3000
MESSAGES = 60
LONGEST = timedelta(seconds=180)
"""Chosen: 60 messages at 3,000 an hour take 72 s, and one of them is tried twice; 10 SMS at 600
segments an hour take as long."""

INIT = (
    *("init", "--company", "Kvetinárstvo Ruža", "--domain", "ruza.example"),
    *("--establishment", "Prevádzka Trnava", "--task", "Jesenná ponuka"),
    *("--host", "127.0.0.1", "--security", "none", "--smtp-name", "skúšobný"),
    *("--sender-name", "Kvetinárstvo Ruža", "--sender-address", "info@ruza.example"),
    *("--cadence", str(CADENCE), "--retry-first", "10"),
)
MAILING = (
    *("mail", "enqueue-many", "zakaznici.csv", "--establishment", "Prevádzka Trnava"),
    *("--subject", "Jesenná ponuka pre zákazníka č. {{ zakaznik }}", "--html-file", "ponuka.html"),
    *("--inline", "logo.png:logo", "--attach", "cennik.pdf", "--key", "jesen"),
)


def demo(
    directory: Annotated[
        Path | None,
        typer.Option(help="The demo's own directory, emptied at each start; default: beside ours."),
    ] = None,
) -> None:
    """Send 60 e-mails and 10 SMS on embedded servers, and show the evidence.

    Nothing leaves this machine: a local SMTP server and an emulator of the SMS gateway keep what
    they get. Exit code 0 only if everything went as it should.

    Example: kadencia demo
    """
    place = directory or _beside(bootstrap.data_directory(os.environ))
    say(f"Kadencia demo in {place}; PostgreSQL, Valkey, beat, a worker and Flower are starting …")
    with stage(place.absolute()) as running:
        settings = bootstrap.read_settings(running.environment)
        engine = bootstrap.make_engine(settings, "demo")
        _set_up(running)
        _watch(engine, settings)
        outcome = read_outcome(engine, running.mails, running.sms)
        _report(running, outcome)
        engine.dispose()
        if sys.stdin.isatty():
            typer.prompt("Everything still runs. Enter ends it", default="", show_default=False)
    if outcome.faults:
        raise CommandError("; ".join(outcome.faults), Exit.FAILED)
    say("All went as it should.")


def _beside(data: Path) -> Path:
    return data.with_name(f"{data.name}-demo")


def _set_up(running: Stage) -> None:
    with as_file(files(__package__) / "files") as folder:
        _run(running, folder, *INIT, "--port", str(running.smtp_port))
        _run(running, folder, *MAILING)
        for words in reminders.commands(running.gateway_url):
            _run(running, folder, *words)


def _run(running: Stage, folder: Path, *arguments: str) -> None:
    """Run a command as a person would, and show it."""
    console.print(f"\n[bold]$ kadencia {shlex.join(arguments)}[/bold]", highlight=False)
    done = subprocess.run(  # noqa: S603  our own command
        running.command(*arguments), env=dict(running.environment), cwd=folder, check=False
    )
    if done.returncode:
        raise CommandError(f"`kadencia {arguments[0]}` ended with {done.returncode}", Exit.FAILED)


def _watch(engine: Engine, settings: Settings) -> None:
    """Show the status and a bar until nothing is left to send."""
    bar = Progress(TextColumn("settled"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    sending = bar.add_task("", total=MESSAGES + reminders.SMS)
    deadline = time.monotonic() + LONGEST.total_seconds()
    say("")
    with Live(bar, console=console, auto_refresh=False, transient=False) as live:
        while not bar.finished:
            if time.monotonic() > deadline:
                raise CommandError("not everything was sent in time", Exit.FAILED)
            with engine.connect() as connection:
                seen = status.look(connection, settings)
                left = reminders.left(connection)
                reminded = reminders.view(connection)
            left += sum(
                task.backlog.least + task.on_the_way
                for task in seen.tasks
                if task.task != reminders.TASK
            )
            bar.update(sending, completed=MESSAGES + reminders.SMS - left)
            live.update(Group(view(seen), reminded, bar), refresh=True)
            time.sleep(0.5)


def _report(running: Stage, outcome: Outcome) -> None:
    here = running.directory
    _run(running, here, "mail", "show", str(outcome.deferred_id))
    _run(running, here, "mail", "list", "--state", "failed")
    _run(running, here, "sms", "list")
    _run(running, here, "audit", "rate")
    password = here / "data" / "flower.password"
    say("")
    say(f"states          {', '.join(f'{n} {state}' for state, n in outcome.states.items())}")
    say(f"saved e-mails   {outcome.kept} in {running.mails}")
    say(f"Flower          {running.flower_url}  (user kadencia, password in {password})")
    say(f"logs            {here / 'up.log'}, {here / 'smtp.jsonl'}, {running.sms}")
