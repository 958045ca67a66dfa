"""Storing messages: where they belong, their content once, and the rows themselves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from models.states import Channel, Priority

PLACE = text("""
    SELECT c.domain, c.country, clock_timestamp() AS now,
        CAST(:establishment AS bigint) IS NULL OR EXISTS (SELECT FROM establishment e
            WHERE e.id = :establishment AND e.company_id = c.id) AS establishment_fits,
        (SELECT t.channel FROM automatic_task t
            WHERE t.id = CAST(:task AS bigint) AND t.company_id = c.id) AS task_channel
    FROM company c WHERE c.id = :company
""")

LANE = text("""
    SELECT id FROM lane WHERE company_id = :company AND channel = :channel
        AND establishment_id IS NOT DISTINCT FROM CAST(:establishment AS bigint)
        AND task_id IS NOT DISTINCT FROM CAST(:task AS bigint)
""")

MAKE_LANE = text("""
    INSERT INTO lane (company_id, channel, establishment_id, task_id)
    VALUES (:company, :channel, :establishment, :task) ON CONFLICT DO NOTHING
""")

# KEY SHARE: retention must not drop it before our message points at it, and others may share it.
BODY = text("SELECT id FROM body WHERE digest = :digest FOR KEY SHARE")

MAKE_BODY = text("""
    INSERT INTO body (digest, text, html, template, size)
    VALUES (:digest, :text, :html, :template, :size) ON CONFLICT DO NOTHING RETURNING id
""")

FILE = text("SELECT id FROM attachment WHERE digest = :digest FOR KEY SHARE")

MAKE_FILE = text("""
    INSERT INTO attachment (digest, data) VALUES (:digest, :data) ON CONFLICT DO NOTHING
    RETURNING id
""")

ATTACH = text("""
    INSERT INTO body_attachment
        (body_id, position, attachment_id, filename, content_type, content_id)
    VALUES (:body, :position, :attachment, :filename, :content_type, :content_id)
""")

# One statement for one message and for a thousand; the Message-ID ties recipients to their rows.
STORE = text("""
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:messages AS json)) AS g(
            message_id text, subject text, fields jsonb, key text, digest text,
            domain text, domains jsonb, cost smallint)),
    made AS (
        INSERT INTO message (company_id, lane_id, body_id, priority, not_before, expires_at,
            reply_to, list_unsubscribe, headers, reference,
            message_id, subject, fields, idempotency_key, digest, domain, domains, cost)
        SELECT :company, :lane, :body, :priority, :not_before, :expires_at,
            CAST(:reply_to AS text[]), CAST(:list_unsubscribe AS text[]), CAST(:headers AS jsonb),
            :reference, g.message_id, g.subject, g.fields, g.key, decode(g.digest, 'hex'),
            g.domain, g.domains, g.cost
        FROM given g
        ON CONFLICT (company_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
        RETURNING id, message_id),
    addressed AS (
        INSERT INTO recipient (message_id, position, kind, address, domain, name)
        SELECT made.id, r.position, r.kind, r.address, r.domain, r.name
        FROM json_to_recordset(CAST(:recipients AS json)) AS r(message_id text,
            position smallint, kind text, address text, domain text, name text)
        JOIN made ON made.message_id = r.message_id)
    SELECT message_id, id FROM made
""")

BY_KEY = text("""
    SELECT idempotency_key AS key, id, digest FROM message
    WHERE company_id = :company AND idempotency_key = ANY (CAST(:keys AS text[]))
""")

NOTIFY = text("SELECT pg_notify(:channel, :lane)")


@dataclass(frozen=True, slots=True)
class NewRecipient:
    """One envelope recipient; the address as in `recipient.address`."""

    kind: str
    address: str
    domain: str
    name: str | None


@dataclass(frozen=True, slots=True)
class NewFile:
    """One attachment of a body; `digest` is the SHA-256 of its octets."""

    digest: bytes
    filename: str
    content_type: str
    content_id: str | None
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewBody:
    """What many messages may share; `digest` is over all of it."""

    digest: bytes
    text: str | None = field(repr=False)
    html: str | None = field(repr=False)
    template: bool
    files: tuple[NewFile, ...]

    @property
    def size(self) -> int:
        """Octets of texts and files, as they are stored."""
        texts = sum(len(one.encode()) for one in (self.text, self.html) if one)
        return texts + sum(len(one.data) for one in self.files)


@dataclass(frozen=True, slots=True)
class Shared:
    """What all messages that are stored together have in common."""

    company_id: int
    lane_id: int
    priority: Priority
    not_before: datetime
    expires_at: datetime
    reply_to: tuple[str, ...] = ()
    list_unsubscribe: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class NewMessage:
    """What is one message's own; `digest` tells a repeat under the key from a conflict."""

    message_id: str
    subject: str
    recipients: tuple[NewRecipient, ...]
    fields: Mapping[str, Any] | None = None
    key: str | None = None
    digest: bytes | None = None


def place(
    connection: Connection, company: int, establishment: int | None, task: int | None
) -> Row[Any] | None:
    """The company's domain and country, PostgreSQL's clock, and whether the rest is its own.

    Returns:
        None if there is no such company. `task_channel` is absent where the company has no such
        task.
    """
    values = {"company": company, "establishment": establishment, "task": task}
    return connection.execute(PLACE, values).one_or_none()


def lane(
    connection: Connection,
    company: int,
    establishment: int | None,
    task: int | None,
    channel: Channel = Channel.EMAIL,
) -> int:
    """The lane of messages of a company and a channel, an establishment or none, a task or none."""
    values = {
        "company": company,
        "channel": channel.value,
        "establishment": establishment,
        "task": task,
    }
    found: int | None = connection.execute(LANE, values).scalar()
    if found is None:
        connection.execute(MAKE_LANE, values)
        found = connection.execute(LANE, values).scalar_one()
    return found


def body(connection: Connection, new: NewBody) -> int:
    """The body of this content, which is stored if it is new."""
    values = {
        "digest": new.digest,
        "text": new.text,
        "html": new.html,
        "template": new.template,
        "size": new.size,
    }
    body_id, made = _find_or_make(connection, BODY, MAKE_BODY, values)
    if made and new.files:
        # In the order of their digests, or two that store the same files could deadlock.
        ids = {
            one.digest: file(connection, one.digest, one.data)
            for one in sorted(new.files, key=lambda one: one.digest)
        }
        connection.execute(
            ATTACH,
            [
                {
                    "body": body_id,
                    "position": position,
                    "attachment": ids[one.digest],
                    "filename": one.filename,
                    "content_type": one.content_type,
                    "content_id": one.content_id,
                }
                for position, one in enumerate(new.files)
            ],
        )
    return body_id


def file(connection: Connection, digest: bytes, data: bytes | bytearray) -> int:
    """The file of this content, which is stored if it is new."""
    return _find_or_make(connection, FILE, MAKE_FILE, {"digest": digest, "data": data})[0]


def _find_or_make(
    connection: Connection, find: TextClause, make: TextClause, values: Mapping[str, Any]
) -> tuple[int, bool]:
    """A row by its digest, and whether we made it."""
    while True:  # ends: it goes round only if somebody made the row and somebody dropped it
        found = connection.execute(find, {"digest": values["digest"]}).scalar()
        if found is not None:
            return found, False
        made = connection.execute(make, values).scalar()
        if made is not None:
            return made, True


def store(
    connection: Connection, shared: Shared, body_id: int, messages: Sequence[NewMessage]
) -> dict[str, int]:
    """Store messages of one body as ready, but those whose idempotency key is taken.

    Waits for another transaction that is storing the same key.

    Returns:
        The id of each message that was stored, by its Message-ID.
    """
    values = {
        "company": shared.company_id,
        "lane": shared.lane_id,
        "body": body_id,
        "priority": int(shared.priority),
        "not_before": shared.not_before,
        "expires_at": shared.expires_at,
        "reply_to": list(shared.reply_to) or None,
        "list_unsubscribe": list(shared.list_unsubscribe) or None,
        "headers": json.dumps(shared.headers) if shared.headers else None,
        "reference": shared.reference,
        "messages": json.dumps([row_of(one) for one in messages], ensure_ascii=False),
        "recipients": json.dumps(list(recipient_rows(messages)), ensure_ascii=False),
    }
    return {row.message_id: row.id for row in connection.execute(STORE, values)}


def row_of(new: NewMessage) -> dict[str, Any]:
    """What is stored of a message alone, but for its recipients, as JSON can hold it."""
    domains = Counter(one.domain for one in new.recipients)
    return {
        "message_id": new.message_id,
        "subject": new.subject,
        "fields": new.fields,
        "key": new.key,
        "digest": new.digest.hex() if new.digest else None,
        "domain": new.recipients[0].domain,
        "domains": domains if len(domains) > 1 else None,
        "cost": len(new.recipients),
    }


def recipient_rows(messages: Iterable[NewMessage]) -> Iterable[dict[str, Any]]:
    """What is stored of the recipients of messages."""
    for new in messages:
        for position, one in enumerate(new.recipients):
            yield {
                "message_id": new.message_id,
                "position": position,
                "kind": one.kind,
                "address": one.address,
                "domain": one.domain,
                "name": one.name,
            }


def by_key(
    connection: Connection, company: int, keys: Sequence[str]
) -> dict[str, tuple[int, bytes | None]]:
    """The id and the digest of each message that is stored under one of these keys."""
    rows = connection.execute(BY_KEY, {"company": company, "keys": list(keys)})
    return {row.key: (row.id, row.digest and bytes(row.digest)) for row in rows}


def notify(connection: Connection, lane_id: int, priority: Priority) -> None:
    """Wake beat, once this is committed, for a message that is ready in a lane."""
    urgent = priority is Priority.TRANSACTIONAL
    channel = "kadencia_urgent" if urgent else "kadencia_ready"
    connection.execute(NOTIFY, {"channel": channel, "lane": str(lane_id)})
