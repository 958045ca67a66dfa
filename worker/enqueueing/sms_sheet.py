"""From a row of a file to an SMS: number, text and sender, checked, and keys that last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeVar

from sqlalchemy import Connection

from worker.core.content import ContentError
from worker.core.phone_numbers import PhoneNumber, parse_number
from worker.core.sms_rules import TextRules
from worker.core.sms_sender import check_sender
from worker.core.sms_text import measure
from worker.enqueueing.digests import canonical, digest_of
from worker.enqueueing.drafts import check_names
from worker.enqueueing.files import NUMBER_COLUMNS, Row
from worker.enqueueing.occurrences import Occurrences
from worker.enqueueing.places import Place
from worker.enqueueing.sheet import ROW_KEY_OCTETS, Item, Templates, row_key
from worker.enqueueing.sms import SmsDraft, Worded, new_sms, worded
from worker.outbox import sms_inbox

TEXT_COLUMN = "text"
SENDER_COLUMN = "sender"


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SmsItem(Item):
    """One row that may be enqueued as an SMS."""

    worded: Worded
    sender: str | None


class SmsSheet:
    """The text of a mailing, and what makes an SMS of each row.

    Args:
        mailing: what all have in common; its text is a template. Without one, column “text” of
            each row is its text, and no template.
        columns: of the file.
        country: of numbers without a calling code.
        rules: of the automatic task that will take them.

    Raises:
        ContentError: the template is wrong or uses what is no column, there is no text at all, or
            what all have in common is not fit to be sent.
    """

    def __init__(
        self, mailing: SmsDraft, columns: Sequence[str], country: str, rules: TextRules
    ) -> None:
        self.mailing = mailing
        self._country = country
        self._rules = rules
        source = mailing.text
        if source is None:
            if TEXT_COLUMN not in columns:
                raise ContentError(
                    "is not given, and the file has no column of that name",
                    "text",
                    "give one with --text or --text-file, or add the column",
                )
            source = f"{{{{ {TEXT_COLUMN} }}}}"
        self._templates = Templates({TEXT_COLUMN: source}, columns)
        check_names(mailing.idempotency_key, mailing.reference)
        self._sender = None if mailing.sender is None else check_sender(mailing.sender)
        common = digest_of(
            {
                "place": [mailing.establishment_id, mailing.task_id],
                "text": source,
                "sender": self._sender,
            }
        )
        self._hash = sha256(common)
        self.key = mailing.idempotency_key or common.hex()[: 2 * ROW_KEY_OCTETS]

    def item(self, row: Row, seen: Occurrences) -> SmsItem:
        """Check a row and make its text what will go."""
        number = self._number(row)
        key = row_key(row, seen)
        sender = self._sender_of(row)
        one = _at(row, "", lambda: self._worded(number, row))
        own = self._hash.copy()
        own.update(canonical([number.e164, one.given, sender]))
        keyed = bool(row.values.get("key"))
        return SmsItem(row.line, row.cells, keyed, f"{self.key}:{key}", own.digest(), one, sender)

    def pack(self, item: SmsItem) -> list[Any]:
        """An item as JSON can hold it."""
        one, number = item.worded, item.worded.number
        return [
            item.line,
            item.keyed,
            item.key,
            item.digest.hex(),
            [number.e164, number.calling_code, number.country],
            [one.given, one.text],
            item.sender,
        ]

    def unpack(self, packed: list[Any]) -> SmsItem:
        """The item that was packed."""
        line, keyed, key, digest, number, (given, text), sender = packed
        one = Worded(PhoneNumber(*number), given, text, measure(text))
        return SmsItem(line, [], keyed, key, bytes.fromhex(digest), one, sender)

    def store(
        self,
        connection: Connection,
        where: Place,
        times: tuple[datetime, datetime],
        items: Sequence[SmsItem],
    ) -> int:
        """Store items, each with an own key."""
        mailing = self.mailing
        shared = sms_inbox.SharedSms(
            mailing.company_id, where.lane_id, mailing.priority, *times, mailing.reference
        )
        new = [new_sms(one.worded, one.sender, one.key, one.digest) for one in items]
        return len(sms_inbox.store_sms(connection, shared, new))

    def _number(self, row: Row) -> PhoneNumber:
        column = next((one for one in NUMBER_COLUMNS if one in row.values), NUMBER_COLUMNS[0])
        given = row.values.get(column)
        if not isinstance(given, str) or not given.strip():
            raise ContentError(
                "is blank or no text",
                f"line {row.line}, column {column}",
                "give a number as a text, or leave out the row",
            )
        return _at(row, column, lambda: parse_number(given, self._country))

    def _sender_of(self, row: Row) -> str | None:
        given = row.values.get(SENDER_COLUMN)
        if given is None or given == "":
            return self._sender
        return _at(row, SENDER_COLUMN, lambda: check_sender(str(given)))

    def _worded(self, number: PhoneNumber, row: Row) -> Worded:
        text = self._templates.fill(TEXT_COLUMN, row)
        return worded(number, text, self._rules, self.mailing.transliterate)


def _at(row: Row, column: str, read: Callable[[], T]) -> T:
    """Read something of a row; an error names its line, and its column if it is of one alone."""
    try:
        return read()
    except ContentError as error:
        if column:
            what, where = f"{error.where} {error.what}", f"line {row.line}, column {column}"
        else:
            what, where = error.what, f"line {row.line}, {error.where}"
        raise type(error)(what, where, error.mend) from None
