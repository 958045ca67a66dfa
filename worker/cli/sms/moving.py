"""Moving SMS by hand: hold, release, cancel, resend, resolve."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from models.states import Channel
from worker.cli.channels import each
from worker.cli.output import CommandError
from worker.outbox import people

Ids = Annotated[list[int], typer.Argument(help="Ids, as `kadencia sms list` shows them.")]


def hold(ids: Ids) -> None:
    """Keep SMS from being sent until they are released (Neodosielať).

    Example: kadencia sms hold 17 18
    """
    each(ids, people.hold, Channel.SMS, "hold")


def release(ids: Ids) -> None:
    """Let held SMS go.

    Example: kadencia sms release 17 18
    """
    each(ids, people.release, Channel.SMS, "release")


def cancel(ids: Ids) -> None:
    """End SMS that were not handed over.

    Example: kadencia sms cancel 17 18
    """
    each(ids, people.cancel, Channel.SMS, "cancel")


def resend(
    ids: Ids,
    to_all: Annotated[
        bool, typer.Option("--all", help="Also those that were sent or delivered already.")
    ] = False,
) -> None:
    """Send SMS that have ended once more, and pay for them once more.

    Example: kadencia sms resend 17
    """
    each(ids, partial(people.resend, to_all=to_all), Channel.SMS, "resend")


def resolve(
    ids: Ids,
    sent: Annotated[bool, typer.Option("--sent", help="They went out.")] = False,
    again: Annotated[bool, typer.Option("--resend", help="Send them once more.")] = False,
) -> None:
    """Settle SMS of which nobody knows whether they went (Neistá).

    Example: kadencia sms resolve 17 --sent
    """
    if sent == again:
        raise CommandError("give either --sent or --resend; nothing was changed")
    move = people.resolve_sent if sent else people.resolve_resend
    each(ids, move, Channel.SMS, "resolve")
