"""Moving messages by hand: hold, release, cancel, resend, resolve."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from models.states import Channel
from worker.cli.channels import each
from worker.cli.output import CommandError
from worker.outbox import people

Ids = Annotated[list[int], typer.Argument(help="Ids, as `kadencia mail list` shows them.")]


def hold(ids: Ids) -> None:
    """Keep messages from being sent until they are released (Neodosielať).

    Example: kadencia mail hold 17 18
    """
    each(ids, people.hold, Channel.EMAIL, "hold")


def release(ids: Ids) -> None:
    """Let held messages go.

    Example: kadencia mail release 17 18
    """
    each(ids, people.release, Channel.EMAIL, "release")


def cancel(ids: Ids) -> None:
    """End messages that were not handed over.

    Example: kadencia mail cancel 17 18
    """
    each(ids, people.cancel, Channel.EMAIL, "cancel")


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
    each(ids, partial(people.resend, to_all=to_all), Channel.EMAIL, "resend")


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
    move = people.resolve_sent if sent else people.resolve_resend
    each(ids, move, Channel.EMAIL, "resolve")
