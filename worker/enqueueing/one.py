"""Enqueueing one message within the caller's transaction."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from models.states import Channel
from settings import Settings
from worker.compose import new_message_id
from worker.core.content import ContentError, shown
from worker.enqueueing.drafts import Draft, check, span
from worker.enqueueing.traced import traced
from worker.outbox import inbox


class KeyConflict(ContentError):
    """An idempotency key was used before, for something else."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The message, and whether it was made now or stood there already under its key."""

    message_id: int
    created: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where messages go.

    Attributes:
        domain: the company's; it ends the Message-IDs of its e-mails.
        country: of numbers without a calling code.
        now: PostgreSQL's clock.
    """

    lane_id: int
    domain: str
    country: str
    now: datetime


@traced
def enqueue(connection: Connection, draft: Draft, settings: Settings) -> Enqueued:
    """Store a message; it exists if and only if the caller's transaction commits.

    Suppressed addresses are no error here: they are looked up when it is claimed.

    Args:
        connection: of the caller's transaction, READ COMMITTED.
        draft: the message.
        settings: with the limits on size and recipients.

    Raises:
        ContentError: it cannot be sent as it is; nothing was stored.
        KeyConflict: its idempotency key was used for other content; names that message.
    """
    checked = check(draft, settings)
    digest, key = checked.digest(draft), draft.idempotency_key
    where = place(connection, draft.company_id, draft.establishment_id, draft.task_id)
    not_before, expires_at = span(draft.not_before, draft.expires_at, where.now)
    new = inbox.NewMessage(
        message_id=new_message_id(where.domain, uuid.uuid4()),
        subject=checked.subject,
        recipients=checked.recipients,
        fields=checked.fields,
        key=key,
        digest=digest if key else None,
    )

    def store() -> int | None:
        shared = inbox.Shared(
            company_id=draft.company_id,
            lane_id=where.lane_id,
            body_id=inbox.body(connection, checked.body),
            priority=draft.priority,
            not_before=not_before,
            expires_at=expires_at,
            reply_to=checked.reply_to,
            list_unsubscribe=checked.list_unsubscribe,
            headers=checked.headers,
            reference=draft.reference,
        )
        return inbox.store(connection, shared, [new]).get(new.message_id)

    done = once(connection, draft.company_id, key, digest, store)
    if done.created:
        inbox.notify(connection, where.lane_id, draft.priority)
    return done


def once(
    connection: Connection,
    company_id: int,
    key: str | None,
    digest: bytes,
    store: Callable[[], int | None],
) -> Enqueued:
    """Store a message, unless one was enqueued before under its key.

    Args:
        connection: of the caller's transaction.
        company_id: whose key it is.
        key: the idempotency key; None for none.
        digest: of what is enqueued.
        store: the new message's id; None if its key was taken meanwhile.

    Raises:
        KeyConflict: the key was used for other content; names that message.
    """
    earlier = earlier_under(connection, company_id, key, digest)
    if earlier is None:
        made = store()
        if made is not None:
            return Enqueued(made, created=True)
        # Somebody stored the key between our look and our insert.
        earlier = earlier_under(connection, company_id, key, digest)
    if earlier is None:
        raise RuntimeError("a message under this key was there, and is gone")
    return Enqueued(earlier, created=False)


def place(
    connection: Connection,
    company_id: int,
    establishment_id: int | None,
    task_id: int | None,
    channel: Channel = Channel.EMAIL,
) -> Place:
    """Find or make the lane of a message.

    Raises:
        ContentError: as `check_place`.
    """
    row = check_place(connection, company_id, establishment_id, task_id, channel)
    lane_id = inbox.lane(connection, company_id, establishment_id, task_id, channel)
    return Place(lane_id, row.domain, row.country, row.now)


def check_place(
    connection: Connection,
    company_id: int,
    establishment_id: int | None,
    task_id: int | None,
    channel: Channel,
) -> Row[Any]:
    """The company's domain and country, and PostgreSQL's clock.

    Raises:
        ContentError: there is no such company, establishment or task is not its own, or the
            task sends messages of the other channel.
    """
    row = inbox.place(connection, company_id, establishment_id, task_id)
    if row is None:
        raise ContentError("does not exist", f"company {company_id}", "create it first")
    task_fits = task_id is None or row.task_channel is not None
    for fits, what in (
        (row.establishment_fits, f"establishment {establishment_id}"),
        (task_fits, f"automatic task {task_id}"),
    ):
        if not fits:
            raise ContentError(
                f"does not exist in company {company_id}", what, "name one of the company's own"
            )
    if task_id is not None and row.task_channel != channel:
        words = {Channel.EMAIL: "e-mails", Channel.SMS: "SMS"}
        raise ContentError(
            f"sends {words[row.task_channel]}",
            f"automatic task {task_id}",
            f"name one that sends {words[channel]}",
        )
    return row


def earlier_under(
    connection: Connection, company_id: int, key: str | None, digest: bytes
) -> int | None:
    """The message that was enqueued before under a key.

    Raises:
        KeyConflict: it was enqueued with other content.
    """
    if key is None:
        return None
    found = inbox.by_key(connection, company_id, [key]).get(key)
    if found is None:
        return None
    message_id, before = found
    refuse_conflict(before, digest, message_id, f"idempotency key {shown(key)}")
    return message_id


def refuse_conflict(before: bytes | None, digest: bytes, message_id: int, where: str) -> None:
    """Refuse other content under a key.

    Raises:
        KeyConflict: naming the first message.
    """
    if before != digest:
        raise KeyConflict(
            f"was used before for other content, in message {message_id}",
            where,
            "use a new key, or enqueue the same content",
        )
