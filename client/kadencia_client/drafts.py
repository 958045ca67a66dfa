"""What is handed in: an e-mail, its files, an SMS."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

PriorityName = Literal["transactional", "normal", "bulk"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of an e-mail.

    Attributes:
        filename: as the recipient sees it.
        content: its octets, or what `Client.upload` gave for them.
        content_type: such as `application/pdf`.
        content_id: by which the HTML shows it as `cid:…`.
    """

    filename: str
    content: bytes | str = field(repr=False)
    content_type: str = "application/octet-stream"
    content_id: str | None = None

    def document(self) -> dict[str, Any]:
        """As the API takes it."""
        named = {"filename": self.filename, "content_type": self.content_type}
        if self.content_id is not None:
            named["content_id"] = self.content_id
        if isinstance(self.content, str):
            return {**named, "attachment": self.content}
        return {**named, "content": base64.b64encode(self.content).decode("ascii")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What e-mails and SMS have in common.

    Attributes:
        task: the name of the automatic task that is to send it; None: any that takes it.
        establishment: the name of the establishment that it belongs to.
        priority: transactional goes first, bulk last.
        not_before: aware; None: at once.
        expires_at: aware; None: three days after it may go.
        reference: yours, for finding it.
        idempotency_key: under it the message stays one, however often it is handed in. The client
            makes one where none is given; only your own survives your process.
        fields: what fills the templates in subject, text and HTML; None: they are none.
    """

    task: str | None = None
    establishment: str | None = None
    priority: PriorityName = "normal"
    not_before: datetime | None = None
    expires_at: datetime | None = None
    reference: str | None = None
    idempotency_key: str | None = None
    fields: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """As the API takes it, with a key."""
        for name in ("not_before", "expires_at"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise ValueError(f"{name} has no time zone; give one, as datetime.now(UTC) has")
        given = {
            "task": self.task,
            "establishment": self.establishment,
            "priority": self.priority,
            "not_before": self.not_before and self.not_before.isoformat(),
            "expires_at": self.expires_at and self.expires_at.isoformat(),
            "reference": self.reference,
            "fields": None if self.fields is None else dict(self.fields),
        }
        key = self.idempotency_key or str(uuid.uuid4())
        return {"idempotency_key": key, **{k: v for k, v in given.items() if v is not None}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Email(Draft):
    """One e-mail, as the API takes it.

    Attributes:
        to, cc, bcc: addresses, with or without names; at least one in all.
        subject, text, html: text, HTML or both must be there.
        reply_to: addresses for answers.
        headers: own header fields.
        list_unsubscribe: https: and mailto: addresses.
        attachments: files.
    """

    to: Sequence[str] = ()
    subject: str = field(repr=False)
    text: str | None = field(default=None, repr=False)
    html: str | None = field(default=None, repr=False)
    cc: Sequence[str] = ()
    bcc: Sequence[str] = ()
    reply_to: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    list_unsubscribe: Sequence[str] = ()
    attachments: Sequence[Attachment] = ()

    def document(self) -> dict[str, Any]:
        """As the API takes it, with a key."""
        texts = {"text": self.text, "html": self.html}
        many: dict[str, Any] = {
            name: list(getattr(self, name))
            for name in ("to", "cc", "bcc", "reply_to", "list_unsubscribe")
            if getattr(self, name)
        }
        if self.headers:
            many["headers"] = dict(self.headers)
        if self.attachments:
            many["attachments"] = [one.document() for one in self.attachments]
        return {
            **Draft.document(self),
            "subject": self.subject,
            **{name: words for name, words in texts.items() if words is not None},
            **many,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sms(Draft):
    """One SMS, as the API takes it.

    Attributes:
        number: with its calling code, or as it is written in the company's country.
        text: its text.
        sender: a name or a number; None: the automatic task's.
        transliterate: without diacritics: always, never, or (None) as the automatic task does.
    """

    number: str
    text: str = field(repr=False)
    sender: str | None = None
    transliterate: bool | None = None

    def document(self) -> dict[str, Any]:
        """As the API takes it, with a key."""
        own = {"sender": self.sender, "transliterate": self.transliterate}
        return {
            **Draft.document(self),
            "number": self.number,
            "text": self.text,
            **{name: one for name, one in own.items() if one is not None},
        }
