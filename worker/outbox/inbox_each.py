"""Storing many messages at once that have nothing in common but their company."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from worker.outbox import inbox, sms_inbox
from worker.outbox.inbox import NewBody, NewMessage, Shared
from worker.outbox.sms_inbox import NewSms, SharedSms

# KEY SHARE as in `inbox`: retention must not drop it before our message points at it.
BODIES = text("""
    SELECT digest, id FROM body WHERE digest = ANY (CAST(:digests AS bytea[])) FOR KEY SHARE
""")

MAKE_BODIES = text("""
    INSERT INTO body (digest, text, html, template, size)
    SELECT decode(g.digest, 'hex'), g.text, g.html, g.template, g.size
    FROM json_to_recordset(CAST(:bodies AS json)) AS g(
        digest text, text text, html text, template boolean, size bigint)
    ORDER BY g.digest
    ON CONFLICT DO NOTHING RETURNING digest, id
""")

# In the order of their keys: two that store the same ones wait for each other, and never in a ring.
STORE = text("""
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:messages AS json)) AS g(
            lane bigint, body bigint, priority smallint, not_before timestamptz,
            expires_at timestamptz, reply_to text[], list_unsubscribe text[], headers jsonb,
            reference text, message_id text, subject text, fields jsonb, key text, digest text,
            domain text, domains jsonb, cost smallint)),
    made AS (
        INSERT INTO message (company_id, lane_id, body_id, priority, not_before, expires_at,
            reply_to, list_unsubscribe, headers, reference,
            message_id, subject, fields, idempotency_key, digest, domain, domains, cost)
        SELECT :company, g.lane, g.body, g.priority, g.not_before, g.expires_at,
            g.reply_to, g.list_unsubscribe, g.headers, g.reference,
            g.message_id, g.subject, g.fields, g.key, decode(g.digest, 'hex'),
            g.domain, g.domains, g.cost
        FROM given g ORDER BY g.key
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

STORE_SMS = text("""
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:messages AS json)) AS g(
            lane bigint, priority smallint, not_before timestamptz, expires_at timestamptz,
            reference text, own_key text, number text, calling_code text, sender text, text text,
            encoding text, segments smallint, key text, digest text)),
    made AS (
        INSERT INTO message (company_id, lane_id, channel, priority, not_before, expires_at,
            reference, message_id, idempotency_key, digest, domain, cost)
        SELECT :company, g.lane, 'sms', g.priority, g.not_before, g.expires_at, g.reference,
            g.own_key, g.key, decode(g.digest, 'hex'), g.calling_code, g.segments
        FROM given g ORDER BY g.key
        ON CONFLICT (company_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
        RETURNING id, message_id),
    addressed AS (
        INSERT INTO recipient (message_id, position, kind, address, domain, cost)
        SELECT made.id, 0, 'to', g.number, g.calling_code, g.segments
        FROM given g JOIN made ON made.message_id = g.own_key),
    worded AS (
        INSERT INTO sms (message_id, sender, text, encoding, segments)
        SELECT made.id, g.sender, g.text, g.encoding, g.segments
        FROM given g JOIN made ON made.message_id = g.own_key)
    SELECT message_id, id FROM made
""")


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail with all that is stored of it."""

    shared: Shared
    new: NewMessage


@dataclass(frozen=True, slots=True)
class Text:
    """An SMS with all that is stored of it."""

    shared: SharedSms
    new: NewSms


def bodies(connection: Connection, new: Iterable[NewBody]) -> dict[bytes, int]:
    """The bodies of these contents by their digests; those that are new are stored."""
    wanted = {one.digest: one for one in new}
    found = {
        # Files come one by one: they may be large.
        one.digest: inbox.body(connection, one)
        for one in sorted(wanted.values(), key=lambda one: one.digest)
        if one.files
    }
    while missing := sorted(wanted.keys() - found.keys()):  # ends: as `inbox.body` does
        found |= _ids(connection.execute(BODIES, {"digests": missing}))
        rows = [_body_row(wanted[one]) for one in missing if one not in found]
        if rows:
            made = connection.execute(MAKE_BODIES, {"bodies": _as_json(rows)})
            found |= _ids(made)
    return found


def store(connection: Connection, company: int, letters: Sequence[Letter]) -> dict[str, int]:
    """Store e-mails as ready, but those whose idempotency key is taken.

    Waits for other transactions that are storing the same keys.

    Returns:
        The id of each that was stored, by its Message-ID.
    """
    values = {
        "company": company,
        "messages": _as_json([_letter_row(one) for one in letters]),
        "recipients": _as_json(list(inbox.recipient_rows([one.new for one in letters]))),
    }
    return {row.message_id: row.id for row in connection.execute(STORE, values)}


def store_sms(connection: Connection, company: int, texts: Sequence[Text]) -> dict[str, int]:
    """Store SMS, as `store` does e-mails; their ids by own key."""
    rows = [_shared_row(one.shared) | sms_inbox.row_of(one.new) for one in texts]
    values = {"company": company, "messages": _as_json(rows)}
    return {row.message_id: row.id for row in connection.execute(STORE_SMS, values)}


def _letter_row(one: Letter) -> dict[str, Any]:
    shared = one.shared
    return {
        **_shared_row(shared),
        "body": shared.body_id,
        "reply_to": shared.reply_to or None,
        "list_unsubscribe": shared.list_unsubscribe or None,
        "headers": shared.headers or None,
        **inbox.row_of(one.new),
    }


def _shared_row(shared: Shared | SharedSms) -> dict[str, Any]:
    return {
        "lane": shared.lane_id,
        "priority": int(shared.priority),
        "not_before": shared.not_before.isoformat(),
        "expires_at": shared.expires_at.isoformat(),
        "reference": shared.reference,
    }


def _body_row(new: NewBody) -> dict[str, Any]:
    texts: Mapping[str, Any] = {"text": new.text, "html": new.html, "template": new.template}
    return {"digest": new.digest.hex(), "size": new.size, **texts}


def _ids(rows: Iterable[Any]) -> dict[bytes, int]:
    return {bytes(row.digest): row.id for row in rows}


def _as_json(rows: Sequence[Any]) -> str:
    return json.dumps(rows, ensure_ascii=False)
