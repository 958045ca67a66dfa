"""What `kadencia mail` and `kadencia sms` have in common: moving, listing, telling them apart."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Connection, Row

from models.states import SLOVAK, Channel, MessageState
from worker.cli import context
from worker.cli.company import CompanyOption
from worker.cli.drafting import read_time
from worker.cli.options import Table, option
from worker.cli.output import CommandError, Exit, say, warn
from worker.outbox import people, reading
from worker.outbox.people import COMMAND, Moved
from worker.registers.naming import find_company
from worker.registers.tasks import find_task

_WHAT = {Channel.EMAIL: "an e-mail", Channel.SMS: "an SMS"}
MOST = 50

LISTED: Table = {
    "state": option(MessageState, "Only in this state."),
    "task": option(str, "Only those that this automatic task took, or is to take."),
    "reference": option(str, "Only with this reference."),
    "since": option(str, "Only enqueued since, as 2026-03-01T08:00."),
    "before": option(int, "Only ids below: the next page."),
    "limit": option(int, f"The most that are shown; default {MOST}.", min=1, max=10_000),
    "company": CompanyOption,
}


def wanted(
    connection: Connection, given: Mapping[str, Any], recipient: str | None
) -> reading.Wanted:
    """What a listing is to show, and one more, so that it can tell whether there is a next page.

    Args:
        connection: to look names up.
        given: the options of `LISTED` that were used.
        recipient: an address or a number as it is stored.

    Raises:
        CommandError: a time is malformed.
        RegisterError: a name is not there.
    """
    named = {name: given.get(name) for name in ("company", "task", "since")}
    owner = find_company(connection, named["company"]) if any(named.values()) else None
    zone = ZoneInfo(owner.time_zone) if owner else None
    return reading.Wanted(
        before=given.get("before"),
        state=given.get("state"),
        company=owner.id if owner else None,
        task=find_task(connection, owner, named["task"]).id if owner and named["task"] else None,
        recipient=recipient,
        since=read_time(named["since"], zone, "--since") if zone else None,
        reference=given.get("reference"),
        limit=given.get("limit", MOST) + 1,
    )


def each(
    ids: list[int], move: Callable[[Connection, int], Moved], channel: Channel, verb: str
) -> None:
    """Move what can be moved, and tell of each message what became of it.

    Args:
        ids: of messages.
        move: one of `worker.outbox.people`.
        channel: messages of the other one are left alone.
        verb: the command that was typed.

    Raises:
        Exit: some were refused.
    """
    with context.transaction() as connection:
        found = reading.channels(connection, ids)
        others = {one: there for one, there in found.items() if there is not channel}
        mine = [one for one in ids if one not in others]
        moved, refused = people.move_each(connection, mine, move)
    for done in moved:
        say(f"message {done.message_id}: {done.before} → {done.after} ({SLOVAK[done.after]})")
    errors = [str(error) for error in refused]
    errors += [of_other_channel(one, there, verb) for one, there in sorted(others.items())]
    for error in errors:
        sys.stderr.write(f"kadencia: {error}\n")
    if errors:
        raise typer.Exit(Exit.FAILED)


def of_other_channel(message_id: int, there: Channel, verb: str) -> str:
    """What to say of a message that goes over the other channel."""
    return f"message {message_id} is {_WHAT[there]}; `kadencia {COMMAND[there]} {verb}` is for it"


def to_show(connection: Connection, message_id: int, channel: Channel) -> Row[Any]:
    """The row of a message, as `reading.message` reads it.

    Raises:
        CommandError: there is none, or it goes over the other channel.
    """
    row = reading.message(connection, message_id)
    if row is None:
        raise CommandError(
            f"message {message_id} does not exist; `kadencia {COMMAND[channel]} list` has all"
        )
    if row.channel != channel:
        raise CommandError(of_other_channel(message_id, Channel(row.channel), "show"))
    return row


def tell_of_next_page(found: Sequence[Row[Any]], shown: Sequence[Row[Any]]) -> None:
    """Say how the next page is had, where more was found than is shown."""
    if len(found) > len(shown):
        warn(f"there are more; the next page: --before {shown[-1].id}")


def tell_why_not_gone(reasons: Sequence[str]) -> None:
    """Say why a message has not gone yet, if anything keeps it."""
    if reasons:
        say("\nwhy it has not gone yet")
        for reason in reasons:
            say(f"  {reason}")
