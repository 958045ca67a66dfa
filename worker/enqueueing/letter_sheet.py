"""From a row of a file to an e-mail: addresses, filled templates, and keys that last."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection

from models.states import RecipientKind
from settings import Settings
from worker.compose import estimate_size, new_message_id
from worker.core.addresses import Address, AddressError, parse_address
from worker.core.content import ContentError
from worker.core.headers import check_list_unsubscribe, check_own_headers, check_subject
from worker.enqueueing.digests import body_of, canonical, digest_of
from worker.enqueueing.drafts import (
    Draft,
    body_fields,
    check_names,
    check_parts,
    check_size,
    recipient,
)
from worker.enqueueing.files import ADDRESS_COLUMNS, Row
from worker.enqueueing.occurrences import Occurrences
from worker.enqueueing.places import Place
from worker.enqueueing.sheet import ROW_KEY_OCTETS, Item, Templates, row_key
from worker.outbox import inbox
from worker.outbox.inbox import NewRecipient

SHORT_CHARACTERS = 20_000  # chosen: longer than most bodies, which then need not be measured
WIDEST = "\U0001f600"  # no character takes more octets


@dataclass(frozen=True, slots=True)
class LetterItem(Item):
    """One row that may be enqueued as an e-mail."""

    recipient: NewRecipient
    subject: str
    fields: Mapping[str, Any] | None


class LetterSheet:
    """The templates of a mailing, checked once, and what makes an item of each row.

    Args:
        mailing: what all have in common; subject, text and HTML are templates.
        columns: of the file.
        settings: with the limit on size.

    Raises:
        ContentError: a template is wrong or uses what is no column, or what all have in
            common is not fit to be sent.
    """

    def __init__(self, mailing: Draft, columns: tuple[str, ...], settings: Settings) -> None:
        self.mailing = mailing
        self._most_octets = settings.message_bytes
        sources = {"Subject": mailing.subject, "text": mailing.text, "HTML": mailing.html}
        self._sources = {w: source for w, source in sources.items() if source is not None}
        self._templates = Templates(self._sources, columns)
        check_names(mailing.idempotency_key, mailing.reference)
        check_parts(mailing.text, mailing.html, mailing.attachments)
        self.used = body_fields(mailing.text, mailing.html)
        self.body = body_of(mailing.text, mailing.html, True, mailing.attachments)
        self.reply_to = tuple(str(parse_address(one)) for one in mailing.reply_to)
        self.list_unsubscribe = check_list_unsubscribe(mailing.list_unsubscribe)
        self.headers = check_own_headers(mailing.headers)
        common = {
            "place": [mailing.establishment_id, mailing.task_id],
            "subject": mailing.subject,
            "body": self.body.digest.hex(),
            "reply_to": self.reply_to,
            "list_unsubscribe": self.list_unsubscribe,
            "headers": self.headers,
        }
        self._hash = sha256(digest_of(common))
        self.key = mailing.idempotency_key or digest_of(common).hex()[: 2 * ROW_KEY_OCTETS]
        filler = WIDEST * SHORT_CHARACTERS
        self._short_fits = self._size_of(dict.fromkeys(self._sources, filler)) <= self._most_octets

    def item(self, row: Row, seen: Occurrences) -> LetterItem:
        """Check a row and fill the templates with it."""
        address = self._address(row)
        key = row_key(row, seen)
        try:
            subject = check_subject(self._templates.fill("Subject", row))
            self._check_body(row)
        except ContentError as error:
            raise type(error)(error.what, f"line {row.line}, {error.where}", error.mend) from None
        fields = {name: row.values[name] for name in self.used} or None
        own = self._hash.copy()
        own.update(canonical([address.address, address.name, subject, fields]))
        keyed = bool(row.values.get("key"))
        key = f"{self.key}:{key}"
        return LetterItem(row.line, row.cells, keyed, key, own.digest(), address, subject, fields)

    def pack(self, item: LetterItem) -> list[Any]:
        """An item as JSON can hold it."""
        one = item.recipient
        recipient = [one.kind, one.address, one.domain, one.name]
        digest = item.digest.hex()
        return [item.line, item.keyed, item.key, digest, recipient, item.subject, item.fields]

    def unpack(self, packed: list[Any]) -> LetterItem:
        """The item that was packed."""
        line, keyed, key, digest, recipient, *rest = packed
        to = NewRecipient(*recipient)
        return LetterItem(line, [], keyed, key, bytes.fromhex(digest), to, *rest)

    def store(
        self,
        connection: Connection,
        where: Place,
        times: tuple[datetime, datetime],
        items: Sequence[LetterItem],
    ) -> int:
        """Store items, and the body that they share."""
        shared = inbox.Shared(
            self.mailing.company_id,
            where.lane_id,
            self.mailing.priority,
            *times,
            reply_to=self.reply_to,
            list_unsubscribe=self.list_unsubscribe,
            headers=self.headers,
            reference=self.mailing.reference,
        )
        body_id = inbox.body(connection, self.body)
        new = [_message(one, where) for one in items]
        return len(inbox.store(connection, shared, body_id, new))

    def _check_body(self, row: Row) -> None:
        filled = {
            where: self._templates.fill(where, row) for where in self._sources if where != "Subject"
        }
        if self._short_fits and max(map(len, filled.values())) <= SHORT_CHARACTERS:
            return
        check_size(
            filled.get("text"),
            filled.get("HTML"),
            self.mailing.attachments,
            1 + len(self.reply_to),
            self._most_octets,
        )

    def _size_of(self, filled: Mapping[str, str]) -> int:
        """At most so many octets, once it is composed."""
        sizes = [len(one.content) for one in self.mailing.attachments]
        addresses = 1 + len(self.reply_to)
        return estimate_size(filled.get("text"), filled.get("HTML"), sizes, addresses)

    def _address(self, row: Row) -> NewRecipient:
        column = next((one for one in ADDRESS_COLUMNS if one in row.values), ADDRESS_COLUMNS[0])
        given, name = row.values.get(column), row.values.get("name")
        where = f"line {row.line}, column {column}"
        if not isinstance(given, str) or not given.strip():
            raise ContentError("is blank or no text", where, "give an address or leave out the row")
        try:
            address = parse_address(given)
        except AddressError as error:
            raise AddressError(f"{error.where} {error.what}", where, error.mend) from None
        if address.name is None and isinstance(name, str) and name.strip():
            try:
                address = Address(
                    address.local, address.domain, address.display_domain, name.strip()
                )
            except AddressError as error:
                where = f"line {row.line}, column name"
                raise AddressError(error.what, where, error.mend) from None
        return recipient(RecipientKind.TO, address)


def _message(item: LetterItem, where: Place) -> inbox.NewMessage:
    return inbox.NewMessage(
        new_message_id(where.domain, uuid.uuid4()),
        item.subject,
        (item.recipient,),
        item.fields,
        item.key,
        item.digest,
    )
