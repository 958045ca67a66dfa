"""Storing many e-mails at once that have nothing in common but their company."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from worker.outbox import inbox, sms_inbox
from worker.outbox.inbox import NewBody, NewMessage, Shared

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

STORE = text("""
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:messages AS json)) AS g(
            place integer, lane bigint, body bigint, priority smallint, not_before timestamptz,
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
        FROM given g ORDER BY g.place
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


@dataclass(frozen=True, slots=True)
class Letter:
    """An e-mail with all that is stored of it."""

    shared: Shared
    body: NewBody
    new: NewMessage


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
    """Store e-mails and their bodies as ready, in this order, but none whose key is taken.

    Waits for other transactions that are storing the same keys.

    Returns:
        The id of each that was stored, by its Message-ID.
    """
    ids = bodies(connection, (one.body for one in letters))
    values = {
        "company": company,
        "messages": _as_json(
            [
                {"place": place, **_letter_row(one, ids[one.body.digest])}
                for place, one in enumerate(letters)
            ]
        ),
        "recipients": _as_json(list(inbox.recipient_rows([one.new for one in letters]))),
    }
    return {row.message_id: row.id for row in connection.execute(STORE, values)}


def _letter_row(one: Letter, body_id: int) -> dict[str, Any]:
    shared = one.shared
    return {
        **sms_inbox.shared_row(shared),
        "body": body_id,
        "reply_to": shared.reply_to or None,
        "list_unsubscribe": shared.list_unsubscribe or None,
        "headers": shared.headers or None,
        **inbox.row_of(one.new),
    }


def _body_row(new: NewBody) -> dict[str, Any]:
    texts: Mapping[str, Any] = {"text": new.text, "html": new.html, "template": new.template}
    return {"digest": new.digest.hex(), "size": new.size, **texts}


def _ids(rows: Iterable[Any]) -> dict[bytes, int]:
    return {bytes(row.digest): row.id for row in rows}


def _as_json(rows: Sequence[Any]) -> str:
    return json.dumps(rows, ensure_ascii=False)
