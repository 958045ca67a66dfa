"""From a row of a file to a message: addresses, filled templates, and keys that last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from models.states import RecipientKind
from settings import Settings
from worker.compose import check_template, estimate_size, render, template_fields
from worker.core.addresses import Address, AddressError, parse_address
from worker.core.content import ContentError, check_text, shown
from worker.core.headers import check_list_unsubscribe, check_own_headers, check_subject
from worker.enqueueing.digests import body_of, canonical, digest_of
from worker.enqueueing.drafts import (
    KEY_CHARACTERS_MAX,
    Draft,
    body_fields,
    check_names,
    check_parts,
    check_size,
    recipient,
)
from worker.enqueueing.files import ADDRESS_COLUMNS, Row
from worker.enqueueing.occurrences import Occurrences
from worker.outbox.inbox import NewRecipient

SHORT_CHARACTERS = 20_000  # chosen: longer than most bodies, which then need not be measured
WIDEST = "\U0001f600"  # no character takes more octets
ROW_KEY_OCTETS = 16  # chosen: no two rows of any list have the same by chance


@dataclass(frozen=True, slots=True)
class Item:
    """One row that may be enqueued; `keyed` if it brought a key of its own."""

    line: int
    cells: list[str]
    keyed: bool
    recipient: NewRecipient
    subject: str
    fields: Mapping[str, Any] | None
    key: str
    digest: bytes


class Sheet:
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
        for where, source in self._sources.items():
            _check_fields(where, source, columns)
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
        self._fields = {w: template_fields(source) for w, source in self._sources.items()}
        filler = WIDEST * SHORT_CHARACTERS
        self._short_fits = self._size_of(dict.fromkeys(self._sources, filler)) <= self._most_octets
        self._constant = {
            where: self._render(where, {}) for where in self._sources if not self._fields[where]
        }

    def item(self, row: Row, seen: Occurrences) -> Item:
        """Check a row and fill the templates with it.

        Args:
            row: as it was read.
            seen: the rows before it, from the first on.

        Raises:
            ContentError: naming line and column.
        """
        address = self._address(row)
        key = _row_key(row, seen)
        try:
            subject = check_subject(self._fill("Subject", row))
            self._check_body(row)
        except ContentError as error:
            raise type(error)(error.what, f"line {row.line}, {error.where}", error.mend) from None
        fields = {name: row.values[name] for name in self.used} or None
        own = self._hash.copy()
        own.update(canonical([address.address, address.name, subject, fields]))
        return Item(
            row.line,
            row.cells,
            bool(row.values.get("key")),
            address,
            subject,
            fields,
            f"{self.key}:{key}",
            own.digest(),
        )

    def _check_body(self, row: Row) -> None:
        filled = {where: self._fill(where, row) for where in self._sources if where != "Subject"}
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

    def _fill(self, where: str, row: Row) -> str:
        constant = self._constant.get(where)
        if constant is not None:
            return constant
        for name in self._fields[where]:
            value = row.values.get(name)
            if value is None:
                raise ContentError("has no value", f"column {name}", "give every row one")
            if isinstance(value, str):
                check_text(value, f"column {name}")
        return self._render(where, row.values)

    def _render(self, where: str, values: Mapping[str, Any]) -> str:
        return render(self._sources[where], values, html=where == "HTML", where=where)


def _check_fields(where: str, source: str, columns: tuple[str, ...]) -> None:
    check_template(source, where)
    unknown = sorted(template_fields(source, where) - set(columns))
    if unknown:
        raise ContentError(
            f"uses {', '.join(map(shown, unknown))}, but the file has only the columns "
            f"{', '.join(columns)}",
            where,
            "add the column or correct the template",
        )


def _row_key(row: Row, seen: Occurrences) -> str:
    """The row's own key, or one made of its content and of how often that stood before it."""
    given = row.values.get("key")
    if given is None or given == "":
        content = sha256(canonical(row.values)).digest()[:ROW_KEY_OCTETS]
        before = seen.add(content)
        return f"{content.hex()}.{before}" if before else content.hex()
    where = f"line {row.line}, column key"
    if not isinstance(given, str) or not given.strip() or len(given) > KEY_CHARACTERS_MAX:
        raise ContentError(
            "is blank, no text or too long",
            where,
            f"give a text of at most {KEY_CHARACTERS_MAX} characters",
        )
    check_text(given, where)
    if seen.add(given.encode()):
        raise ContentError(
            f"{shown(given)} stands in an earlier row too", where, "give each row its own key"
        )
    return given
