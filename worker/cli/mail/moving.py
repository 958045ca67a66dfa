"""Moving messages by hand: hold, release, cancel, resend, resolve."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer
from sqlalchemy import Connection

from models.states import SLOVAK
from worker.cli import context
from worker.cli.output import CommandError, Exit, say
from worker.outbox import people
from worker.outbox.people import Moved

Ids = Annotated[list[int], typer.Argument(help="Ids, as `kadencia mail list` shows them.")]


def hold(ids: Ids) -> None:
    """Keep messages from being sent until they are released (Neodosielať).

    Example: kadencia mail hold 17 18
    """
    _each(ids, people.hold)


def release(ids: Ids) -> None:
    """Let held messages go.

    Example: kadencia mail release 17 18
    """
    _each(ids, people.release)


def cancel(ids: Ids) -> None:
    """End messages that were not handed over.

    Example: kadencia mail cancel 17 18
    """
    _each(ids, people.cancel)


def resend(
    ids: Ids,
    to_all: Annotated[
        bool, typer.Option("--all", help="Also to the recipients who have it already.")
    ] = False,
) -> None:
    """Send messages that have ended once more, with the same Message-ID.

    Only to the recipients who do not have it, unless --all.

    Example: kadencia mail resend 17
    """
    _each(ids, partial(people.resend, to_all=to_all))


def resolve(
    ids: Ids,
    sent: Annotated[bool, typer.Option("--sent", help="They went out.")] = False,
    again: Annotated[bool, typer.Option("--resend", help="Send them once more.")] = False,
) -> None:
    """Settle messages of which nobody knows whether they went (Neistá).

    Example: kadencia mail resolve 17 --sent
    """
    if sent == again:
        raise CommandError("give either --sent or --resend; nothing was changed")
    _each(ids, people.resolve_sent if sent else people.resolve_resend)


def _each(ids: list[int], move: Callable[[Connection, int], Moved]) -> None:
    with context.transaction() as connection:
        moved, refused = people.move_each(connection, ids, move)
    for one in moved:
        say(f"message {one.message_id}: {one.before} → {one.after} ({SLOVAK[one.after]})")
    for error in refused:
        sys.stderr.write(f"kadencia: {error}\n")
    if refused:
        raise typer.Exit(Exit.FAILED)
