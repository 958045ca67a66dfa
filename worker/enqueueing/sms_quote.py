"""What SMS would take and cost, before any is enqueued."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from models.states import Channel
from worker.core.content import ContentError
from worker.core.sms_price import Range, estimate
from worker.core.sms_rules import units_left
from worker.core.sms_text import Saving, measure, saving, transliterate
from worker.enqueueing.files import BadRow, MailingFile
from worker.enqueueing.occurrences import Occurrences
from worker.enqueueing.places import check_place
from worker.enqueueing.sms import NO_RULES, SmsDraft, Worded, word
from worker.enqueueing.sms_sheet import SmsSheet
from worker.outbox import sms_inbox, sms_prices
from worker.outbox.sms_inbox import Taker


@dataclass(frozen=True, slots=True)
class Quote:
    """What one SMS would take and cost.

    Attributes:
        left: septets or UTF-16 units that its last segment has room for.
        saving: by dropping its diacritics, if that saves a segment.
        price: of all its segments; None if nothing is known of it.
    """

    worded: Worded
    left: int
    saving: Saving | None
    price: Range | None


@dataclass(frozen=True, slots=True)
class Costs:
    """What the SMS of a file would take and cost, in one country.

    Attributes:
        plain_segments: how many they would take without their diacritics.
        price: of all their segments; None if nothing is known of it.
    """

    calling_code: str
    sms: int
    segments: int
    plain_segments: int
    price: Range | None


@dataclass(slots=True)
class Prices:
    """What a segment costs, country by country; each is looked up once."""

    connection: Connection
    taker: Taker | None
    _known: dict[str, Range | None] = field(default_factory=dict)

    def of(self, calling_code: str) -> Range | None:
        """EUR for a segment, over the account of the task that would send it."""
        if self.taker is None:
            return None
        if calling_code not in self._known:
            seen = sms_prices.prices(self.connection, self.taker.account_id, calling_code)
            self._known[calling_code] = estimate(seen, self.taker.price)
        return self._known[calling_code]


def quote(connection: Connection, draft: SmsDraft) -> Quote:
    """What an SMS would take and cost; nothing is stored.

    Raises:
        ContentError: it cannot be sent as it is.
    """
    country, taker = _belongs(connection, draft)
    one = word(draft, country, taker.rules if taker else NO_RULES)
    price = Prices(connection, taker).of(one.number.calling_code)
    return Quote(
        one,
        units_left(one.text),
        saving(one.text),
        price.times(one.measured.segments) if price else None,
    )


def quote_many(
    connection: Connection, source: MailingFile, draft: SmsDraft, reject: Callable[[BadRow], None]
) -> list[Costs]:
    """What the SMS of a file would take and cost, by country; nothing is stored.

    Args:
        connection: any.
        source: the file.
        draft: what all have in common, as for `enqueue_many`.
        reject: is given each bad row, which is left out.

    Raises:
        ContentError: the mailing itself is not fit to be sent.
    """
    country, taker = _belongs(connection, draft)
    rules = taker.rules if taker else NO_RULES
    sheet = SmsSheet(draft, source.columns, country, rules)
    prices, costs = Prices(connection, taker), dict[str, Costs]()
    with Occurrences() as seen:
        for row in source.rows():
            if isinstance(row, BadRow):
                reject(row)
                continue
            try:
                one = sheet.item(row, seen).worded
            except ContentError as error:
                reject(BadRow(row.line, row.cells, error))
                continue
            code = one.number.calling_code
            costs[code] = _with(costs.get(code), one, prices.of(code))
    return [costs[code] for code in sorted(costs)]


def _with(before: Costs | None, one: Worded, price: Range | None) -> Costs:
    """A country's costs, and one SMS more."""
    costs = before or Costs(one.number.calling_code, 0, 0, 0, None)
    segments = costs.segments + one.measured.segments
    return replace(
        costs,
        sms=costs.sms + 1,
        segments=segments,
        plain_segments=costs.plain_segments + measure(transliterate(one.text)).segments,
        price=price and price.times(segments),
    )


def _belongs(connection: Connection, draft: SmsDraft) -> tuple[str, Taker | None]:
    belongs = draft.company_id, draft.establishment_id, draft.task_id
    row = check_place(connection, *belongs, Channel.SMS)
    return row.country, sms_inbox.taker(connection, *belongs)
