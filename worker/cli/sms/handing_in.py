"""`kadencia sms enqueue` and `kadencia sms enqueue-many`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from models.states import Priority
from worker.cli import context
from worker.cli.drafting import Many, read_fields
from worker.cli.mail.mailing import SkipBad, put_in
from worker.cli.options import takes
from worker.cli.output import CommandError, JsonOption, say, show_json, warn
from worker.cli.sms.texts import NO_PRICE, NOTE, draft_of, hint, price_words, quote_row
from worker.enqueueing import NUMBER_COLUMNS, Enqueued, MailingFile, enqueue_sms
from worker.enqueueing.sms_quote import Quote, quote


@takes(NOTE)
def enqueue_one(
    given: dict[str, Any],
    to: Annotated[
        str | None, typer.Option(help="Number; without a calling code, of the company's country.")
    ] = None,
    field: Annotated[
        Many, typer.Option(help="Fills {{ NAME }} in the text.", metavar="NAME=VALUE")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Enqueue one SMS, and see its segments and what it will cost.

    Example: kadencia sms enqueue --to "0903 622 237" --text "Vaša kytica je pripravená."
    """
    if to is None or not {"text", "text_file"} & set(given):
        missing = "--to" if to is None else "--text or --text-file"
        raise CommandError(f"missing: {missing}; nothing was enqueued")
    with context.transaction() as connection:
        draft = draft_of(connection, given, number=to, fields=read_fields(field))
        done = enqueue_sms(connection, draft)
        quoted = quote(connection, draft)
    if as_json:
        show_json({"id": done.message_id, "created": done.created, **quote_row(quoted)})
    else:
        _tell(done, quoted)


@takes(NOTE)
def enqueue_file(
    given: dict[str, Any],
    file: Annotated[
        Path, typer.Argument(help="CSV with a header row, or JSON Lines (.jsonl), in UTF-8.")
    ],
    skip_bad: SkipBad = False,
    as_json: JsonOption = False,
) -> None:
    """Enqueue an SMS for each row of a file.

    Column “number” or “phone” has the number, “sender” the row's own sender, “key” its own key;
    every column fills {{ COLUMN }} in the text. Without --text and --text-file, column “text” is
    the text. Nothing is enqueued if a row is bad, unless --skip-bad. Run again, it enqueues only
    what is missing; to send the same mailing once more, give another --key.

    Example: kadencia sms enqueue-many klienti.csv --text "{{ name }}, čakáme Vás o {{ time }}."
    --key utorok
    """
    given.setdefault("priority", Priority.BULK)
    with context.transaction() as connection:
        mailing = draft_of(connection, given)
    put_in(MailingFile(file, NUMBER_COLUMNS), mailing, skip_bad=skip_bad, as_json=as_json)


def _tell(done: Enqueued, quoted: Quote) -> None:
    if not done.created:
        say(f"message {done.message_id} was enqueued under this key before; nothing was changed")
        return
    measured = quoted.worded.measured
    counted = f"{measured.segments} segment{'' if measured.segments == 1 else 's'}"
    price = price_words(quoted.price) or NO_PRICE
    say(f"message {done.message_id} is enqueued: {counted} ({measured.encoding.value}), {price}")
    if quoted.saving is not None:
        warn(hint(quoted.saving))
