"""What commands share: settings, an engine, and errors turned into exit codes."""

from __future__ import annotations

import functools
import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import Connection, Engine

from settings import Settings
from worker import bootstrap, db, tracing
from worker.cli.output import CommandError, Exit
from worker.vault import Vault


@functools.cache
def settings() -> Settings:
    """This command's settings, read once."""
    return bootstrap.read_settings(os.environ)


@functools.cache
def engine() -> Engine:
    """This command's engine; its schema is checked when it is first used.

    Raises:
        CommandError: the schema is not this version's.
    """
    tracing.start(settings(), "command")
    made = bootstrap.make_engine(settings(), "command")
    with made.connect() as connection:
        check_schema(connection)
    return made


def check_schema(connection: Connection) -> None:
    """Refuse a database whose schema this version does not work with.

    Raises:
        CommandError: with the way to mend it.
    """
    if db.works_on(connection):
        return
    found, wanted = db.schema_revision(connection), db.newest_revision()
    known = not found or found in db.revisions()
    mend = "run `kadencia migrate`" if known else "install the version that the others run"
    raise CommandError(
        f"the database has schema {found or 'none'}, this version works with {wanted}; {mend}",
        Exit.FAILED,
    )


@contextmanager
def transaction() -> Iterator[Connection]:
    """One transaction, signed in the audit log with the name of who runs the command."""
    with db.transaction(engine(), who=operator()) as connection:
        yield connection


def vault() -> Vault:
    """The keys of stored credentials.

    Raises:
        SettingsError: the file with them cannot be read.
        VaultError: it holds something else.
    """
    return bootstrap.make_vault(settings())


def silent_after() -> timedelta:
    """How long a process may say nothing and be taken for alive."""
    return timedelta(seconds=settings().silent_after_seconds)


def window() -> timedelta:
    """The window in which a cadence is counted."""
    return timedelta(seconds=settings().window_seconds)


def longest_handover() -> timedelta:
    """The most between the opening of an attempt and its answer."""
    return timedelta(seconds=settings().handover_max_seconds)


def is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty()


def operator() -> str:
    """Who runs the command: the login name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        return f"uid {os.getuid()}"
