"""The command line: `kadencia`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from worker.cli.lazy import Later, LazyGroup
from worker.cli.output import Exit

app = typer.Typer(
    name="kadencia",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("kadencia"))
        raise typer.Exit


@app.callback()
def _kadencia(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Send a company's e-mails and SMS in the background, at a cadence that its servers bear."""


# Every command, in the order of `kadencia --help`: its name, its place, its line of help.
LazyGroup.later = (
    Later("demo", "demo:demo", "See 60 e-mails and 10 SMS go out on this machine."),
    Later("up", "run:up", "Run the whole product on this machine."),
    Later("worker", "worker:worker", "Sweep and send for an OAC server."),
    Later("beat", "worker:beat", "Enqueue the sweeps that are due."),
    Later("flower", "flower:flower", "Watch Celery's workers, queues and tasks in a browser."),
    Later("api", "api:api", "Let other services enqueue by HTTP."),
    Later("migrate", "run:migrate", "Bring the database to this version's schema."),
    Later("backup", "run:backup", "Write the database and its keys into one file."),
    Later("restore", "run:restore", "Bring a backup back; nothing is sent until reviewed."),
    Later("doctor", "doctor:doctor", "Check everything, and say how to mend what fails."),
    Later("metrics", "metrics:metrics", "Serve the fleet's figures to Prometheus."),
    Later("status", "status:status", "See what goes on: tasks, backlog, rate."),
    Later("audit", "audit:app", "What the evidence proves: the worst window of each limit."),
    Later("init", "first:init", "Set up company, user, account and automatic task in one go."),
    Later("stop-all", "safety:stop_all", "Stop all sending, at once."),
    Later("start-all", "safety:start_all", "Let sending go on."),
    Later("safety", "safety:app", "For trials: redirect mail, or reach listed people only."),
    Later("task", "task:app", "Automatic tasks: what sends which messages, how fast."),
    Later("mail", "mail:app", "E-mails: enqueue, look at, and move by hand."),
    Later("sms", "sms:app", "SMS: enqueue, price, look at, and move by hand."),
    Later("smtp", "smtp:app", "SMTP accounts, and whether they work."),
    Later("eurosms", "eurosms:app", "Accounts at EuroSMS, and whether they work."),
    Later("server", "server:app", "OAC servers: their processes, backlog and rate."),
    Later("company", "company:app", "Companies."),
    Later("establishment", "establishment:app", "Establishments: branches and shops."),
    Later("user", "user:app", "Users: standard ones, and system ones that run tasks."),
    Later("token", "token:app", "Tokens of the HTTP API."),
    Later("suppression", "suppression:app", "Addresses and numbers that must not be written to."),
    Later("intake", "intake:app", "What was handed in by SQL or Celery, and rejected."),
    Later("sql-role", "sql_role:app", "Roles of PostgreSQL that may enqueue by SQL."),
    Later("webhook", "webhook:app", "Tell other programs of each change of state."),
    Later("keys", "keys:app", "Keys of the stored credentials."),
    Later("smtp-sink", "sink:smtp_sink", "An SMTP server to try things out with.", raw=True),
    Later(
        "eurosms-emulator",
        "emulator:eurosms_emulator",
        "An SMS gateway to try things out with.",
        raw=True,
    ),
)


def main() -> None:
    """Run the command line; every error ends in one line on standard error and an exit code."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run one command in this process; returns its exit code."""
    try:
        code = app(list(arguments), standalone_mode=False, prog_name="kadencia")
    except typer.Abort:
        return _fail("aborted; nothing was changed", Exit.FAILED)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `kadencia … | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.FAILED)
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # click's; the help has been printed
            return int(Exit.WRONG_INPUT)
        from worker.cli.failures import explain  # knows all errors, so it imports a lot

        return _fail(*explain(error))
    return int(code) if isinstance(code, int) else int(Exit.DONE)


def _fail(text: str, code: Exit) -> int:
    sys.stderr.write(f"kadencia: {text}\n")
    return int(code)
