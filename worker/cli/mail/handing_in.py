"""`kadencia mail enqueue`: one message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from worker.cli import context
from worker.cli.mail.letters import LETTER, draft_of
from worker.cli.options import takes
from worker.cli.output import CommandError, JsonOption, say, show_json
from worker.enqueueing import enqueue

Addresses = list[str] | None


@takes(LETTER)
def enqueue_one(
    given: dict[str, Any],
    to: Annotated[Addresses, typer.Option(help="Recipient; may be given several times.")] = None,
    cc: Annotated[Addresses, typer.Option(help="Recipient of a copy.")] = None,
    bcc: Annotated[Addresses, typer.Option(help="Recipient whom the others don't see.")] = None,
    field: Annotated[
        Addresses,
        typer.Option(help="Fills {{ NAME }} in subject, text and HTML.", metavar="NAME=VALUE"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Enqueue one message.

    Example: kadencia mail enqueue --to "Anna Malá <anna@firma.example>" --subject "Faktúra 7"
    --html-file faktura.html --inline logo.png:logo --attach faktura.pdf --key faktura-7
    """
    with context.transaction() as connection:
        draft = draft_of(
            connection, given, to=to or (), cc=cc or (), bcc=bcc or (), fields=_fields(field)
        )
        done = enqueue(connection, draft, context.settings())
    if as_json:
        show_json({"id": done.message_id, "created": done.created})
    elif done.created:
        say(f"message {done.message_id} is enqueued")
    else:
        say(f"message {done.message_id} was enqueued under this key before; nothing was changed")


def _fields(given: Iterable[str] | None) -> dict[str, str] | None:
    if not given:
        return None
    pairs = [one.partition("=") for one in given]
    for name, equals, _ in pairs:
        if not equals or not name.strip():
            raise CommandError(f"--field: {name!r} has no value; write it as NAME=VALUE")
    return {name.strip(): value for name, _, value in pairs}
