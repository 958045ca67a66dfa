"""What a command's error is to a person: one line that says what to do, and an exit code."""

from __future__ import annotations

import redis
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError

from settings import SettingsError
from worker.cli.output import CommandError, Exit
from worker.core.content import ContentError
from worker.embedded.errors import EmbeddedError
from worker.registers import RegisterError
from worker.throttle import ThrottleUnavailable
from worker.vault import VaultError


def explain(error: Exception) -> tuple[str, Exit]:
    """Words and exit code of an error that was foreseen.

    Raises:
        Exception: `error` itself, if it was not: a fault of ours keeps its traceback.
    """
    if isinstance(error, CommandError):
        return str(error), error.code
    if isinstance(error, SettingsError | ContentError | VaultError | RegisterError):
        return str(error), Exit.WRONG_INPUT
    if isinstance(error, EmbeddedError):
        return str(error), Exit.FAILED
    if isinstance(error, DBAPIError):
        return _of_postgres(error)
    if isinstance(error, ArgumentError):
        address = "postgresql://user:password@host:port/name"
        return f"DATABASE_URL is no address of a database; write {address}", Exit.WRONG_INPUT
    if isinstance(error, ThrottleUnavailable | redis.RedisError):
        return (
            f"Redis is away ({type(error).__name__}); start it, or correct REDIS_URL",
            Exit.AWAY,
        )
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        return _of_the_command_line(error), Exit.WRONG_INPUT
    raise error


def _of_postgres(error: DBAPIError) -> tuple[str, Exit]:
    lines = str(error.orig).strip().splitlines()
    words = lines[0] if lines else "no reason given"  # later lines may quote what was stored
    if isinstance(error, OperationalError):
        return f"PostgreSQL is away: {words}; start it, or correct DATABASE_URL", Exit.AWAY
    if isinstance(error, IntegrityError):
        return f"PostgreSQL refused it: {words}; nothing was changed", Exit.FAILED
    return f"PostgreSQL failed: {words}", Exit.FAILED


def _of_the_command_line(error: Exception) -> str:
    """Click's error; its class has no public name."""
    words = str(error.format_message()).rstrip(".")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    return f"{words}; see `{context.command_path} --help`" if context else words
