"""Enqueueing messages that were handed in together, or one alone: each is good or bad by itself.

A few statements for hundreds of them, all within the caller's transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from sqlalchemy import Connection

from models.states import Channel
from settings import Settings
from worker.compose import new_message_id
from worker.core.content import ContentError, shown
from worker.core.sms_sender import check_sender
from worker.enqueueing.drafts import Draft, check, check_names, span
from worker.enqueueing.places import Enqueued, Place, place, refuse_conflict
from worker.enqueueing.sms import NO_RULES, SmsDraft, new_sms, sms_digest, word
from worker.enqueueing.traced import traced
from worker.outbox import inbox, inbox_each, sms_inbox
from worker.outbox.inbox_each import Letter
from worker.outbox.sms_inbox import SharedSms, Taker, Text

Become = Enqueued | ContentError
"""What became of a draft: its message, or why it cannot be sent as it is."""
Belongs = tuple[int, int | None, int | None]

A = TypeVar("A")
Given = TypeVar("Given", Letter, Text)
Store = Callable[[Connection, int, Sequence[Given]], dict[str, int]]


@dataclass(frozen=True, slots=True)
class Ready(Generic[Given]):
    """A draft that may be stored; `name` is its Message-ID or own key."""

    name: str
    key: str | None
    digest: bytes
    given: Given


@dataclass(slots=True)
class Places:
    """Where messages of a channel go; each place is looked up once."""

    connection: Connection
    channel: Channel
    _found: dict[Belongs, Place | ContentError] = field(default_factory=dict)
    _takers: dict[Belongs, Taker | None] = field(default_factory=dict)

    def of(self, draft: Draft | SmsDraft) -> Place:
        """Where a draft's message goes.

        Raises:
            ContentError: as `place`.
        """
        belongs = _belongs(draft)
        if belongs not in self._found:
            found = _tried(lambda: place(self.connection, *belongs, self.channel))
            self._found[belongs] = found
        return _or_raise(self._found[belongs])

    def taker(self, draft: SmsDraft) -> Taker | None:
        """The automatic task that will take an SMS."""
        belongs = _belongs(draft)
        if belongs not in self._takers:
            self._takers[belongs] = sms_inbox.taker(self.connection, *belongs)
        return self._takers[belongs]


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
    (become,) = enqueue_together(connection, [draft], settings)
    return _or_raise(become)


def enqueue_sms(connection: Connection, draft: SmsDraft) -> Enqueued:
    """Store an SMS; it exists if and only if the caller's transaction commits.

    A suppressed number is no error here: it is looked up when the SMS is claimed.

    Args:
        connection: of the caller's transaction, READ COMMITTED.
        draft: the SMS.

    Raises:
        ContentError: it cannot be sent as it is; nothing was stored.
        KeyConflict: its idempotency key was used for other content; names that message.
    """
    (become,) = enqueue_sms_together(connection, [draft])
    return _or_raise(become)


@traced
def enqueue_together(
    connection: Connection, drafts: Sequence[Draft], settings: Settings
) -> list[Become]:
    """Store e-mails of one company; they exist if and only if the caller's transaction commits.

    Args:
        connection: of the caller's transaction, READ COMMITTED.
        drafts: all of the same company; all are held in memory.
        settings: with the limits on size and recipients.

    Returns:
        What became of each draft, in their order. One that is bad stores nothing.
    """
    places = Places(connection, Channel.EMAIL)
    ready = [_tried(partial(_letter, one, places, settings)) for one in drafts]
    return _stored(connection, drafts, ready, inbox_each.store)


@traced
def enqueue_sms_together(connection: Connection, drafts: Sequence[SmsDraft]) -> list[Become]:
    """Store SMS of one company, as `enqueue_together` does e-mails."""
    places = Places(connection, Channel.SMS)
    ready = [_tried(partial(_text, one, places)) for one in drafts]
    return _stored(connection, drafts, ready, sms_inbox.store_texts)


def _letter(draft: Draft, places: Places, settings: Settings) -> Ready[Letter]:
    checked = check(draft, settings)
    where = places.of(draft)
    not_before, expires_at = span(draft.not_before, draft.expires_at, where.now)
    digest, key = checked.digest(draft), draft.idempotency_key
    shared = inbox.Shared(
        company_id=draft.company_id,
        lane_id=where.lane_id,
        priority=draft.priority,
        not_before=not_before,
        expires_at=expires_at,
        reply_to=checked.reply_to,
        list_unsubscribe=checked.list_unsubscribe,
        headers=checked.headers,
        reference=draft.reference,
    )
    new = inbox.NewMessage(
        message_id=new_message_id(where.domain, uuid.uuid4()),
        subject=checked.subject,
        recipients=checked.recipients,
        fields=checked.fields,
        key=key,
        digest=digest if key else None,
    )
    return Ready(new.message_id, key, digest, Letter(shared, checked.body, new))


def _text(draft: SmsDraft, places: Places) -> Ready[Text]:
    check_names(draft.idempotency_key, draft.reference)
    where, taker = places.of(draft), places.taker(draft)
    worded = word(draft, where.country, taker.rules if taker else NO_RULES)
    sender = None if draft.sender is None else check_sender(draft.sender)
    not_before, expires_at = span(draft.not_before, draft.expires_at, where.now)
    digest, key = sms_digest(draft, worded, sender), draft.idempotency_key
    shared = SharedSms(
        draft.company_id, where.lane_id, draft.priority, not_before, expires_at, draft.reference
    )
    new = new_sms(worded, sender, key, digest if key else None)
    return Ready(new.own_key, key, digest, Text(shared, new))


def _stored(
    connection: Connection,
    drafts: Sequence[Draft | SmsDraft],
    ready: Sequence[Ready[Given] | ContentError],
    store: Store[Given],
) -> list[Become]:
    if not drafts:
        return []
    company_id = drafts[0].company_id
    keys = [one.key for one in ready if isinstance(one, Ready) and one.key is not None]
    known = inbox.by_key(connection, company_id, keys)
    # In the order of their keys: two that store the same wait for each other, never in a ring.
    new = sorted(_first_of_each(ready, known), key=lambda one: one.key or "")
    made = store(connection, company_id, [one.given for one in new]) if new else {}
    if made:
        _notify(connection, (one.given for one in new if one.name in made))
    known |= {one.key: (made[one.name], one.digest) for one in new if one.key and one.name in made}
    if len(made) < len(new):  # somebody stored a key between our look and our insert
        known |= inbox.by_key(connection, company_id, keys)
    return [one if isinstance(one, ContentError) else _become(one, made, known) for one in ready]


def _first_of_each(
    ready: Iterable[Ready[Given] | ContentError], known: dict[str, tuple[int, bytes | None]]
) -> Iterable[Ready[Given]]:
    """What is to be stored: nothing under a key that is known, and one under each other."""
    seen = set(known)
    for one in ready:
        if isinstance(one, Ready) and one.key not in seen:
            yield one
            if one.key is not None:
                seen.add(one.key)


def _become(
    one: Ready[Given], made: dict[str, int], known: dict[str, tuple[int, bytes | None]]
) -> Become:
    if one.name in made:
        return Enqueued(made[one.name], created=True)
    if one.key is None or one.key not in known:
        raise RuntimeError("a message under this key was there, and is gone")
    message_id, before = known[one.key]
    try:
        refuse_conflict(before, one.digest, message_id, f"idempotency key {shown(one.key)}")
    except ContentError as error:
        return error
    return Enqueued(message_id, created=False)


def _notify(connection: Connection, made: Iterable[Letter | Text]) -> None:
    """Wake beat for what was stored."""
    for lane_id, priority in sorted({(one.shared.lane_id, one.shared.priority) for one in made}):
        inbox.notify(connection, lane_id, priority)


def _belongs(draft: Draft | SmsDraft) -> Belongs:
    return draft.company_id, draft.establishment_id, draft.task_id


def _tried(make: Callable[[], A]) -> A | ContentError:
    try:
        return make()
    except ContentError as error:
        return error


def _or_raise(found: A | ContentError) -> A:
    if isinstance(found, ContentError):
        raise found
    return found
