"""Options that several commands share, kept in tables: those of accounts, tasks and companies."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from worker.cli import context
from worker.cli.output import CommandError

Table = Mapping[str, Any]
"""Name of a parameter → its type, an `Annotated` with a `typer.Option`."""


class Security(StrEnum):
    """How the connection to an SMTP server is encrypted."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class Unknown(StrEnum):
    """What becomes of a message of which nobody knows whether it went."""

    HOLD = "hold"
    RESEND = "resend"


def option(kind: Any, text: str, *names: str, **more: Any) -> Any:
    """An option that may be left out."""
    return Annotated[Optional[kind], typer.Option(*names, help=text, **more)]  # noqa: UP045


PASSWORD_FILE = {
    "password_file": option(
        str, "File whose first line is the password; - for standard input.", metavar="FILE"
    )
}

ACCOUNT: Table = {
    "host": option(str, "Name or address of the SMTP server."),
    "port": option(int, "Default: 587 with starttls, 465 with tls, 25 with none.", metavar="N"),
    "security": option(
        Security, "starttls (default, and required, not only tried), tls or none.", metavar="HOW"
    ),
    "verify": option(bool, "Check the server's certificate.", "--verify/--no-verify"),
    "ca_file": option(str, "PEM file of the authorities to trust, on each worker's host."),
    "username": option(str, "Log in as this user; the password is asked for."),
    **PASSWORD_FILE,
    "helo_name": option(str, "Our name in EHLO; default: the worker's host name."),
    "connect_timeout": option(
        float, "Seconds to connect, and again for TLS; default 30.", metavar="SECONDS"
    ),
    "command_timeout": option(float, "Seconds for each answer; default 60.", metavar="SECONDS"),
    "connection_messages": option(
        int, "Most messages over one connection; default 100.", metavar="N"
    ),
    "most_connections": option(int, "Most connections at once; default 4.", metavar="N"),
    "hourly_limit": option(str, "Most recipients an hour over this account.", metavar="RATE"),
    "domain_hourly_limit": option(
        str, "Most recipients an hour in each recipient's domain.", metavar="RATE"
    ),
}

ANY_TASK: Table = {
    "server": option(str, "OAC server on which it runs."),
    "stand_in": option(
        list[str], "OAC server that takes over while that one is silent; several, in order."
    ),
    "stand_in_after": option(
        float,
        "Seconds of silence until then; default KADENCIA_SILENT_AFTER_SECONDS.",
        metavar="SECONDS",
    ),
    "user": option(str, "System user under whom it runs."),
    "establishment": option(
        list[str], "Only messages of this establishment; may be given several times."
    ),
    "reserve": option(
        str, "How much of the cadence only transactional messages may use.", metavar="RATE"
    ),
    "days": option(str, "Plan: days on which it runs, as mon-fri,sun; default: always."),
    "hours": option(str, "Plan: hours between which it runs, as 08:00-17:30."),
    "retry_first": option(
        float, "Seconds to the first retry of a deferred message; default 60.", metavar="SECONDS"
    ),
    "retry_longest": option(
        float, "Most seconds between two retries; default 7200.", metavar="SECONDS"
    ),
    "most_attempts": option(
        int, "Attempts after which a message has failed; default 50.", metavar="N"
    ),
    "unknown": option(
        Unknown, "Unknown messages: hold (default), or resend once.", metavar="POLICY"
    ),
    "ceiling": option(str, "Highest cadence allowed, 3,000 or more; needs --by.", metavar="RATE"),
    "by": option(str, "Administrator who answers for the ceiling."),
}
"""Of automatic tasks of both channels."""

TASK: Table = {
    "smtp": option(str, "SMTP account that it sends through."),
    "fallback": option(
        list[str], "SMTP account in its place while it refuses us; several, the best first."
    ),
    "sender_name": option(str, "Name that recipients see."),
    "sender_address": option(str, "Address that recipients see."),
    "envelope_sender": option(str, "Where bounces go; default: the sender's address."),
    "cadence": option(
        str, "Most e-mails in any 60 minutes, as 1000 or 1000/hour: 100 to 3,000.", metavar="RATE"
    ),
    **ANY_TASK,
}


def takes(*tables: Table) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of tables.

    The command's last parameter is `given`: a dictionary of those options that were used.
    """
    shared = {name: kind for table in tables for name, kind in table.items()}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters
        kept = [parameter for parameter in own.values() if parameter.name != "given"]

        def with_options(**arguments: Any) -> None:
            given = {n: arguments.pop(n) for n in shared}
            command(**arguments, given={n: v for n, v in given.items() if v is not None})

        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in shared.items()
        ]
        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in kept
        ] + added
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {p.name: p.annotation for p in parameters}
        with_options.__doc__ = command.__doc__
        with_options.__name__ = command.__name__
        return with_options

    return decorate


def refuse_missing(given: Mapping[str, Any], needed: tuple[str, ...]) -> None:
    """Refuse a command without all that it needs.

    Raises:
        CommandError: it names all that is missing.
    """
    missing = [f"--{name.replace('_', '-')}" for name in needed if name not in given]
    if missing:
        raise CommandError(f"missing: {', '.join(missing)}; nothing was changed")


def read_password(source: str | None, *, word: str = "password") -> str:
    """A password from a file, from standard input, or from a person who types it unseen.

    Args:
        source: a file, "-" for standard input, None for a person.
        word: what it is called; `--WORD-file` is the option that gave `source`.

    Raises:
        CommandError: there is none to be had.
    """
    if source is None:
        if not context.is_terminal():
            raise CommandError(
                f"the {word} cannot be asked for without a terminal; give --{word}-file FILE, "
                f"or --{word}-file - and write it to standard input"
            )
        found = str(typer.prompt(word.capitalize(), hide_input=True, err=True))
    else:
        found = _first_line(source, word)
    if not found:
        without = ", or leave out --username" if word == "password" else ""
        raise CommandError(f"the {word} is empty; give the right one{without}")
    return found


def _first_line(source: str, word: str) -> str:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"--{word}-file: {source} cannot be read: {getattr(error, 'strerror', 'no UTF-8')}; "
            f"name a file that you may read"
        ) from None
    return text.split("\n", 1)[0].removesuffix("\r")
