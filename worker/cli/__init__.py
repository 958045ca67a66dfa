"""The command line: `kadencia`."""

from __future__ import annotations

import sys

import redis
import typer
from sqlalchemy.exc import DBAPIError, OperationalError

from settings import SettingsError
from worker.cli.output import CommandError, Exit
from worker.core.content import ContentError
from worker.embedded.errors import DirectoryInUse, EmbeddedError
from worker.throttle import ThrottleUnavailable
from worker.vault import VaultError

app = typer.Typer(
    name="kadencia",
    help="Send a company's e-mail in the background, at a cadence that its SMTP server bears.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _register() -> None:
    """Hang the commands onto `app`; each module of this package holds one group."""


_register()


def main() -> None:
    """Run the command line; every error ends in one line on standard error and an exit code."""
    try:
        code = app(standalone_mode=False)
    except typer.Exit as end:
        code = end.exit_code
    except typer.Abort:
        code = _fail("aborted", Exit.FAILED)
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        code = _explain(error)
    sys.exit(code if isinstance(code, int) else Exit.DONE)


def _explain(error: Exception) -> int:
    if isinstance(error, CommandError):
        return _fail(str(error), error.code)
    if isinstance(error, SettingsError | ContentError | VaultError):
        return _fail(str(error), Exit.WRONG_INPUT)
    if isinstance(error, DirectoryInUse):
        return _fail(str(error), Exit.FAILED)
    if isinstance(error, EmbeddedError):
        return _fail(str(error), Exit.FAILED)
    if isinstance(error, OperationalError):
        words = str(error.orig).strip().splitlines()
        return _fail(f"PostgreSQL is away: {words[0] if words else 'no reason given'}", Exit.AWAY)
    if isinstance(error, DBAPIError):
        return _fail(f"PostgreSQL refused it: {str(error.orig).strip()}", Exit.FAILED)
    if isinstance(error, ThrottleUnavailable | redis.RedisError):
        return _fail(f"Redis is away: {type(error).__name__}", Exit.AWAY)
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # click's own
        return _fail(error.format_message(), Exit.WRONG_INPUT)
    raise error


def _fail(text: str, code: Exit) -> int:
    sys.stderr.write(f"kadencia: {text}\n")
    return int(code)
