"""What the API answers, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Row

from models.states import (
    SLOVAK,
    AttemptState,
    MessageState,
    Priority,
    RecipientKind,
    RecipientState,
)
from worker.api.given import PriorityName

PRIORITIES: Mapping[int, PriorityName] = {
    Priority.TRANSACTIONAL: "transactional",
    Priority.NORMAL: "normal",
    Priority.BULK: "bulk",
}


class Shown(BaseModel):
    """Of everything that is answered."""

    model_config = ConfigDict(frozen=True)


class Enqueued(Shown):
    """A message that was taken in."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": 17, "state": "ready", "created": True}]}
    )

    id: int
    state: Literal["ready"]
    created: bool


class Moved(Shown):
    """Where a message stands now."""

    id: int
    state: MessageState
    state_sk: str


class Uploaded(Shown):
    """A file that was taken in; e-mails name it by `attachment`, its SHA-256 in hex."""

    attachment: str
    size: int


class RecipientShown(Shown):
    """One recipient, and the far side's last words on it."""

    kind: RecipientKind
    address: str
    name: str | None
    state: RecipientState
    reply: str | None


class FileShown(Shown):
    """A file of an e-mail, without its octets."""

    filename: str
    content_type: str
    content_id: str | None
    attachment: str
    size: int


class MessageShown(Shown):
    """What e-mails and SMS have in common; `why` says why it stands where it stands."""

    id: int
    state: MessageState
    state_sk: str
    why: str | None
    priority: PriorityName
    task: str | None
    establishment: str | None
    reference: str | None
    idempotency_key: str | None
    attempts: int
    created_at: datetime
    not_before: datetime
    expires_at: datetime
    settled_at: datetime | None


class EmailItem(MessageShown):
    """An e-mail in a list."""

    subject: str
    message_id: str
    recipients: list[RecipientShown]


class EmailShown(EmailItem):
    """One e-mail. Its attachments are kept as long as its body."""

    attachments: list[FileShown]


class SmsShown(MessageShown):
    """One SMS. `price` is in EUR, of all its segments; `text` is dropped after a time."""

    number: str
    text: str | None
    sender: str | None
    encoding: str
    segments: int
    price: Decimal | None
    operator: str | None
    sent_at: datetime | None
    delivered_at: datetime | None
    reply: str | None


class EmailPage(Shown):
    """E-mails, newest first; `next_cursor` leads to older ones, null if there are none."""

    items: list[EmailItem]
    next_cursor: str | None


class SmsPage(Shown):
    """SMS, newest first; `next_cursor` leads to older ones, null if there are none."""

    items: list[SmsShown]
    next_cursor: str | None


class ReplyShown(Shown):
    """What the far side made of one recipient."""

    address: str
    outcome: str
    text: str | None


class AttemptShown(Shown):
    """One hand-over: its outcome, how far it came, and the far side's words."""

    id: UUID
    outcome: AttemptState
    opened_at: datetime
    closed_at: datetime | None
    task: str
    account: str
    phase: str | None
    code: int | None
    enhanced: str | None
    text: str | None
    replies: list[ReplyShown]


class Attempts(Shown):
    """Every attempt, oldest first."""

    items: list[AttemptShown]


class Health(Shown):
    """A process that answers."""

    status: Literal["ok"]


def email_item(row: Row[Any], people: Sequence[Row[Any]]) -> dict[str, Any]:
    """The members of an e-mail in a list."""
    return {
        **_message(row),
        "subject": row.subject,
        "message_id": row.message_id,
        "recipients": [_recipient(one) for one in people],
    }


def email_shown(
    row: Row[Any], people: Sequence[Row[Any]], files: Iterable[Row[Any]]
) -> dict[str, Any]:
    """The members of an e-mail."""
    return email_item(row, people) | {"attachments": [dict(one._mapping) for one in files]}


def sms_shown(row: Row[Any], people: Sequence[Row[Any]]) -> dict[str, Any]:
    """The members of an SMS."""
    own = ("text", "sender", "encoding", "segments", "price", "operator", "sent_at", "delivered_at")
    return {
        **_message(row),
        "number": people[0].address,
        "reply": people[0].reply,
        **{name: getattr(row, name) for name in own},
    }


def attempt_shown(row: Row[Any], people: Sequence[Row[Any]]) -> dict[str, Any]:
    """The members of an attempt."""
    addresses = {one.position: one.address for one in people}
    names = ("id", "opened_at", "closed_at", "task", "account", "phase", "code", "enhanced", "text")
    replies = [
        {"address": addresses[position], "outcome": outcome, "text": words}
        for position, outcome, words in row.replies or ()
    ]
    own = {name: getattr(row, name) for name in names}
    return {**own, "outcome": row.state, "replies": replies}


def moved(message_id: int, state: MessageState) -> dict[str, Any]:
    """The members of a message that was moved."""
    return {"id": message_id, "state": state, "state_sk": SLOVAK[state]}


def _message(row: Row[Any]) -> dict[str, Any]:
    same = (
        "id", "state", "why", "task", "establishment", "reference", "idempotency_key", "attempts",
        "created_at", "not_before", "expires_at", "settled_at",
    )  # fmt: skip
    return {
        **{name: getattr(row, name) for name in same},
        "state_sk": SLOVAK[MessageState(row.state)],
        "priority": PRIORITIES[row.priority],
    }


def _recipient(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("kind", "address", "name", "state", "reply")}
