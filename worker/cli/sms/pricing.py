"""`kadencia sms price`: what SMS would take and cost; nothing is enqueued."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli import context
from worker.cli.drafting import Many
from worker.cli.options import takes
from worker.cli.output import CommandError, Exit, JsonOption, show_json, show_rows, warn
from worker.cli.sms.texts import (
    ASKED,
    NO_PRICE,
    draft_of,
    hint,
    price_as_json,
    price_words,
    quote_row,
)
from worker.enqueueing import NUMBER_COLUMNS, BadRow, MailingFile
from worker.enqueueing.sms_quote import Costs, quote, quote_many

BAD_ROWS_NAMED = 20  # chosen: what fits a screen
QUOTED = ["number", "encoding", "segments", "units_left", "segments_without_diacritics", "price"]
COUNTED = ["calling_code", "sms", "segments", "segments_without_diacritics", "price"]


@takes(ASKED)
def price(
    given: dict[str, Any],
    file: Annotated[
        Path | None, typer.Argument(help="A file as for `enqueue-many`, instead of --to.")
    ] = None,
    to: Annotated[Many, typer.Option(help="Number; may be given several times.")] = None,
    as_json: JsonOption = False,
) -> None:
    """See what SMS would take and cost, by country; nothing is enqueued.

    The price is what delivery reports have shown so far, from the cheapest operator to the
    dearest; before there are any, that of `kadencia eurosms set … --price`.

    Example: kadencia sms price --to "0903 622 237" --text "Vaša kytica je pripravená."
    """
    if (file is None) == (not to):
        raise CommandError("give either numbers with --to, or a file")
    if file is not None:
        _of_file(given, file, as_json)
    else:
        _of_numbers(given, to or [], as_json)


def _of_numbers(given: dict[str, Any], numbers: list[str], as_json: bool) -> None:
    if not {"text", "text_file"} & set(given):
        raise CommandError("missing: --text or --text-file")
    with context.transaction() as connection:
        quotes = [
            quote(connection, draft_of(connection, given, number=number)) for number in numbers
        ]
    if as_json:
        show_json([quote_row(one) for one in quotes])
        return
    show_rows(
        [{**quote_row(one), "price": price_words(one.price)} for one in quotes], QUOTED, False
    )
    if quotes[0].saving is not None:
        warn(hint(quotes[0].saving))
    _note_missing([one.price for one in quotes])


def _of_file(given: dict[str, Any], file: Path, as_json: bool) -> None:
    bad: list[BadRow] = []
    with context.transaction() as connection:
        draft = draft_of(connection, given)
        costs = quote_many(connection, MailingFile(file, NUMBER_COLUMNS), draft, bad.append)
    if as_json:
        show_json([_counted(one, price_as_json(one.price)) for one in costs])
    else:
        rows = [_counted(one, price_words(one.price)) for one in costs]
        show_rows(rows, COUNTED, False)
        _note_missing([one.price for one in costs])
    if bad:
        _tell(bad)
        raise typer.Exit(Exit.FAILED)


def _counted(one: Costs, price: Any) -> dict[str, Any]:
    row = asdict(one)
    row["segments_without_diacritics"] = row.pop("plain_segments")
    return {**row, "price": price}


def _tell(bad: Sequence[BadRow]) -> None:
    for one in bad[:BAD_ROWS_NAMED]:
        sys.stderr.write(f"  {one.error}\n")
    warn(f"{len(bad)} bad rows are not counted")


def _note_missing(prices: Sequence[object]) -> None:
    if any(one is None for one in prices):
        warn(NO_PRICE)
