"""What another service hands in as one e-mail, and what must hold of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from models.states import Priority, RecipientKind
from settings import Settings
from worker.compose import AttachmentPart, check_template, estimate_size, render, template_fields
from worker.core.addresses import Address, parse_address
from worker.core.content import ContentError, TooLargeError, check_text, shown
from worker.core.headers import check_list_unsubscribe, check_own_headers, check_subject
from worker.enqueueing.digests import body_of, digest_of
from worker.outbox.inbox import NewBody, NewRecipient

GOOD_FOR = timedelta(days=3)
"""How long a message is tried where no expiry is given."""
KEY_CHARACTERS_MAX = 200  # chosen: an index entry stays small

# An attribute or url(…) that names an inline file (RFC 2392).
_CID = re.compile(r"""(?:=\s*["']?|\(\s*["']?)cid:([^"'\s<>()]+)""", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One e-mail as it is handed in; `enqueue` checks all of it.

    Attributes:
        company_id: who sends it.
        establishment_id, task_id: which automatic tasks may take it; both may be absent.
        to, cc, bcc: addresses, with or without names; at least one in all.
        subject, text, html: templates where `fields` are given.
        attachments: files, and with a `content_id` those that the HTML shows.
        reply_to: addresses.
        list_unsubscribe: https: and mailto: URIs.
        headers: own header fields.
        priority: transactional goes first.
        not_before: aware; absent: at once.
        expires_at: aware; absent: three days after it may go.
        idempotency_key: enqueued again under it, the message stays one.
        reference: the enqueuer's own, for finding it.
        fields: what fills the templates: texts, numbers, lists and mappings of them.
    """

    company_id: int
    subject: str
    establishment_id: int | None = None
    task_id: int | None = None
    to: Sequence[str] = ()
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    text: str | None = field(default=None, repr=False)
    html: str | None = field(default=None, repr=False)
    attachments: Sequence[AttachmentPart] = ()
    reply_to: Sequence[str] = ()
    list_unsubscribe: Sequence[str] = ()
    headers: Sequence[tuple[str, str]] = ()
    priority: Priority = Priority.NORMAL
    not_before: datetime | None = None
    expires_at: datetime | None = None
    idempotency_key: str | None = None
    reference: str | None = None
    fields: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A draft that may be stored: `subject` is filled, `fields` are those that the body needs."""

    subject: str
    recipients: tuple[NewRecipient, ...]
    body: NewBody
    fields: dict[str, Any] | None
    reply_to: tuple[str, ...]
    list_unsubscribe: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]

    def digest(self, draft: Draft) -> bytes:
        """Of what the recipient gets and who sends it; when it goes is no part of it."""
        return digest_of(
            {
                "place": [draft.establishment_id, draft.task_id],
                "recipients": [[r.kind, r.address, r.name] for r in self.recipients],
                "subject": self.subject,
                "body": self.body.digest.hex(),
                "fields": self.fields,
                "reply_to": self.reply_to,
                "list_unsubscribe": self.list_unsubscribe,
                "headers": self.headers,
            }
        )


def check(draft: Draft, settings: Settings) -> Checked:
    """Check a draft, all but its times and its place.

    Raises:
        ContentError: naming what is wrong, where, and how to mend it.
    """
    recipients = _recipients(draft, settings.message_recipients)
    check_names(draft.idempotency_key, draft.reference)
    reply_to = tuple(str(parse_address(one)) for one in draft.reply_to)
    subject, text, html = _filled(draft)
    check_parts(text, html, draft.attachments)
    shown_in_header = len(recipients) + len(reply_to)
    check_size(text, html, draft.attachments, shown_in_header, settings.message_bytes)
    used = body_fields(draft.text, draft.html) if draft.fields is not None else frozenset()
    fields = {name: value for name, value in (draft.fields or {}).items() if name in used}
    check_values(fields)
    return Checked(
        subject=check_subject(subject),
        recipients=recipients,
        body=body_of(draft.text, draft.html, draft.fields is not None, draft.attachments),
        fields=fields or None,
        reply_to=reply_to,
        list_unsubscribe=check_list_unsubscribe(draft.list_unsubscribe),
        headers=check_own_headers(draft.headers),
    )


def span(
    not_before: datetime | None, expires_at: datetime | None, now: datetime
) -> tuple[datetime, datetime]:
    """From when and until when a message may go.

    Raises:
        ContentError: a time has no zone, or it would expire before it may go.
    """
    for given, where in ((not_before, "not before"), (expires_at, "expires at")):
        if given is not None and given.tzinfo is None:
            raise ContentError("has no time zone", where, "give one, as in +01:00 or Z")
    start = max(not_before or now, now)
    end = expires_at or start + GOOD_FOR
    if end <= start:
        raise ContentError(
            f"{end.isoformat(timespec='seconds')} is not after the moment at which it may go,"
            f" {start.astimezone(end.tzinfo).isoformat(timespec='seconds')}",
            "expires at",
            "give a later time, or none",
        )
    return start, end


def recipient(kind: RecipientKind, address: Address) -> NewRecipient:
    """A recipient row of an address."""
    return NewRecipient(kind.value, address.addr_spec, address.domain, address.name)


def check_names(key: str | None, reference: str | None) -> None:
    """Refuse an idempotency key or a reference that is blank, too long or cannot be stored."""
    for given, where in ((key, "idempotency key"), (reference, "reference")):
        if given is None:
            continue
        check_text(given, where)
        if not given.strip():
            raise ContentError("is blank", where, "give one or leave it out")
        if len(given) > KEY_CHARACTERS_MAX:
            raise ContentError(
                f"is longer than {KEY_CHARACTERS_MAX} characters", where, "shorten it"
            )


def check_parts(text: str | None, html: str | None, attachments: Sequence[AttachmentPart]) -> None:
    """Refuse a body without content, and inline files that are missing or named twice."""
    if text is None and html is None:
        raise ContentError("has neither text nor HTML", "message", "give it one")
    for given, where in ((text, "text"), (html, "HTML")):
        check_text(given or "", where)
    ids = [a.content_id for a in attachments if a.content_id]
    for one in ids:
        if ids.count(one) > 1:
            raise ContentError(
                f"is the Content-ID of {ids.count(one)} attachments", shown(one), "rename one"
            )
    for one in cid_references(html or ""):
        if one not in ids:
            raise ContentError(
                f"shows cid:{one}, which no attachment has as its Content-ID",
                "HTML",
                "attach the file under it, or correct the reference",
            )


def cid_references(html: str) -> Iterator[str]:
    """The Content-IDs that HTML refers to.

    >>> list(cid_references('<img src="cid:logo"> <p>cid:not-this</p> url(cid:a%40b)'))
    ['logo', 'a@b']
    """
    for found in _CID.finditer(html):
        yield unquote(found.group(1))


def check_size(
    text: str | None,
    html: str | None,
    attachments: Iterable[AttachmentPart],
    addresses: int,
    most: int,
) -> None:
    """Refuse what would be larger, once composed, than an installation takes in.

    Raises:
        TooLargeError: with both sizes.
    """
    sizes = [len(a.content) for a in attachments]
    size = estimate_size(text, html, sizes, addresses)
    if size > most:
        raise TooLargeError(
            f"would take up to {size / 1e6:.1f} MB with its {len(sizes)} attachment(s),"
            f" more than the {most / 1e6:.1f} MB that are allowed",
            "message",
            "send a link in place of the largest file, or raise KADENCIA_MESSAGE_BYTES",
        )


def check_values(value: Any, where: str = "fields") -> None:
    """Refuse values that JSON or PostgreSQL cannot hold.

    Raises:
        ContentError: naming the field.
    """
    if isinstance(value, str):
        check_text(value, where)
    elif isinstance(value, Mapping):
        for name, one in value.items():
            check_values(str(name), where)
            check_values(one, f"field {shown(str(name))}")
    elif isinstance(value, list | tuple):
        for one in value:
            check_values(one, where)
    else:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise ContentError(
                f"has a value of type {type(value).__name__} that JSON cannot hold",
                where,
                "give texts, numbers, lists and mappings of them",
            ) from None


def body_fields(text: str | None, html: str | None) -> frozenset[str]:
    """The names of the fields that the templates of a body look up."""
    return template_fields(text or "", "text") | template_fields(html or "", "HTML")


def _recipients(draft: Draft, most: int) -> tuple[NewRecipient, ...]:
    """Each address once, in the header that names it first."""
    found: dict[str, NewRecipient] = {}
    for kind, given in (
        (RecipientKind.TO, draft.to),
        (RecipientKind.CC, draft.cc),
        (RecipientKind.BCC, draft.bcc),
    ):
        for one in given:
            address = parse_address(one)
            found.setdefault(address.addr_spec, recipient(kind, address))
    if not found:
        raise ContentError("has no recipient", "message", "give one in to, cc or bcc")
    if len(found) > most:
        raise ContentError(
            f"has {len(found)} recipients, more than the {most} that are allowed",
            "message",
            "enqueue one message for each, or split them",
        )
    return tuple(found.values())


def _filled(draft: Draft) -> tuple[str, str | None, str | None]:
    """Subject, text and HTML as the recipient will see them."""
    if draft.fields is None:
        return draft.subject, draft.text, draft.html
    fields = draft.fields
    for source, where in ((draft.subject, "Subject"), (draft.text, "text"), (draft.html, "HTML")):
        if source is not None:
            check_template(source, where)
    return (
        render(draft.subject, fields, html=False, where="Subject"),
        None if draft.text is None else render(draft.text, fields, html=False, where="text"),
        None if draft.html is None else render(draft.html, fields, html=True, where="HTML"),
    )
