"""`kadencia mail enqueue`: one message."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from worker.cli import context
from worker.cli.drafting import Many, read_fields
from worker.cli.mail.letters import LETTER, draft_of
from worker.cli.options import takes
from worker.cli.output import JsonOption, say, show_json
from worker.enqueueing import enqueue


@takes(LETTER)
def enqueue_one(
    given: dict[str, Any],
    to: Annotated[Many, typer.Option(help="Recipient; may be given several times.")] = None,
    cc: Annotated[Many, typer.Option(help="Recipient of a copy.")] = None,
    bcc: Annotated[Many, typer.Option(help="Recipient whom the others don't see.")] = None,
    field: Annotated[
        Many,
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
            connection, given, to=to or (), cc=cc or (), bcc=bcc or (), fields=read_fields(field)
        )
        done = enqueue(connection, draft, context.settings())
    if as_json:
        show_json({"id": done.message_id, "created": done.created})
    elif done.created:
        say(f"message {done.message_id} is enqueued")
    else:
        say(f"message {done.message_id} was enqueued under this key before; nothing was changed")
