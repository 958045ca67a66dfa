"""The options that say what an SMS is, the draft that they make, and how a quote is told."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from worker.cli.drafting import BELONGS, HANDED_IN, TEXT, handed_in
from worker.cli.options import Table, option
from worker.cli.output import plain_sum
from worker.core.sms_price import Range
from worker.core.sms_text import Saving
from worker.enqueueing import SmsDraft
from worker.enqueueing.sms_quote import Quote

_LETTERS: Table = {
    "transliterate": option(
        bool,
        "Drop the diacritics, always or never; default: where the automatic task sends none.",
        "--transliterate/--keep-diacritics",
    ),
}
ASKED: Table = {**TEXT, **_LETTERS, **BELONGS}
"""What decides on segments and price."""

NOTE: Table = {
    "sender": option(
        str, "Name of up to 11 characters, or a number; default: the automatic task's."
    ),
    **_LETTERS,
    **HANDED_IN,
}

NO_PRICE = "no price is known yet; set one with `kadencia eurosms set … --price`"


def draft_of(connection: Connection, given: Mapping[str, Any], **more: Any) -> SmsDraft:
    """The draft that the options describe.

    Args:
        connection: to look names up.
        given: the options of `NOTE` that were used.
        more: what the command itself adds to the draft.

    Raises:
        CommandError: a file cannot be read, or an option is malformed.
        RegisterError: a name is not there.
    """
    common = handed_in(connection, given)
    if "text_file" in given:  # its last line end belongs to the file; in an SMS it would cost
        common["text"] = common["text"].removesuffix("\n").removesuffix("\r")
    return SmsDraft(
        **common, sender=given.get("sender"), transliterate=given.get("transliterate"), **more
    )


def quote_row(quote: Quote) -> dict[str, Any]:
    """A quote, as JSON has it."""
    one = quote.worded
    return {
        "number": one.number.e164,
        "text": one.text,
        "encoding": one.measured.encoding.value,
        "units": one.measured.units,
        "units_left": quote.left,
        "segments": one.measured.segments,
        "segments_without_diacritics": plain_segments(quote.saving),
        "price": price_as_json(quote.price),
    }


def price_as_json(price: Range | None) -> dict[str, Decimal] | None:
    """A price, as JSON has it: in EUR."""
    return None if price is None else {"least": price.least, "most": price.most}


def price_words(price: Range | None) -> str | None:
    """A price, as people read it.

    >>> price_words(Range(Decimal("0.0580"), Decimal("0.0640")))
    '0.058–0.064 EUR'
    """
    if price is None:
        return None
    least, most = plain_sum(price.least), plain_sum(price.most)
    return f"{least} EUR" if least == most else f"{least}–{most} EUR"


def plain_segments(saving: Saving | None) -> int | None:
    """How many segments it would take without diacritics; None if as many."""
    return None if saving is None else saving.after.segments


def hint(saving: Saving) -> str:
    """How to save segments.

    >>> from worker.core.sms_text import saving
    >>> hint(saving("á" * 100))
    'drop the diacritics: 2 → 1 segments; --transliterate'
    """
    return f"{saving}; --transliterate"
