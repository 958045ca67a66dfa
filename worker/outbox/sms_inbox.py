"""Storing SMS: what the automatic task that will take them allows, and the rows themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, text

from models.states import Priority
from worker.core.sms_rules import TextRules
from worker.outbox.inbox import Shared
from worker.outbox.waking import TAKES_LANE

# A lane need not be there yet: who only asks for a price makes none.
TAKER = text(f"""
    SELECT t.id, t.name, t.account_id, s.sender, s.diacritics, s.long_texts, e.price
    FROM (SELECT CAST(:company AS bigint) AS company_id, 'sms' AS channel,
            CAST(:establishment AS bigint) AS establishment_id, CAST(:task AS bigint) AS task_id) l
    JOIN automatic_task t ON {TAKES_LANE}
    JOIN sms_task s ON s.task_id = t.id
    JOIN eurosms_account e ON e.account_id = t.account_id
    ORDER BY t.active DESC, t.id LIMIT 1
""")  # noqa: S608  no value of anybody's is in it

# One statement for one SMS and for a thousand; the own key ties numbers and texts to their rows.
STORE = text("""
    WITH given AS (
        SELECT * FROM json_to_recordset(CAST(:messages AS json)) AS g(
            place integer, lane bigint, priority smallint, not_before timestamptz,
            expires_at timestamptz, reference text, own_key text, number text,
            calling_code text, sender text, text text, encoding text,
            segments smallint, key text, digest text)),
    made AS (
        INSERT INTO message (company_id, lane_id, channel, priority, not_before, expires_at,
            reference, message_id, idempotency_key, digest, domain, cost)
        SELECT :company, g.lane, 'sms', g.priority, g.not_before, g.expires_at, g.reference,
            g.own_key, g.key, decode(g.digest, 'hex'), g.calling_code, g.segments
        FROM given g ORDER BY g.place
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
class Taker:
    """The automatic task that will take an SMS, and its account.

    Attributes:
        sender: of SMS that name none.
        price: EUR for a segment where reports have not shown any.
    """

    task_id: int
    account_id: int
    sender: str
    price: Decimal | None
    rules: TextRules


@dataclass(frozen=True, slots=True)
class SharedSms:
    """What all SMS that are stored together have in common."""

    company_id: int
    lane_id: int
    priority: Priority
    not_before: datetime
    expires_at: datetime
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class NewSms:
    """What is one SMS's own; `digest` tells a repeat under the key from a conflict."""

    own_key: str
    number: str
    calling_code: str
    text: str = field(repr=False)
    encoding: str
    segments: int
    sender: str | None = None
    key: str | None = None
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """An SMS with all that is stored of it."""

    shared: SharedSms
    new: NewSms


def taker(
    connection: Connection, company: int, establishment: int | None, task: int | None
) -> Taker | None:
    """The automatic task that will take SMS of a company: the first that can, an active one first.

    Args:
        connection: any.
        company: whose they are.
        establishment: to which they belong, if to one.
        task: the one that was named for them, if one was.
    """
    values = {"company": company, "establishment": establishment, "task": task}
    row = connection.execute(TAKER, values).one_or_none()
    if row is None:
        return None
    rules = TextRules(row.name, row.diacritics, row.long_texts)
    return Taker(row.id, row.account_id, row.sender, row.price, rules)


def store_sms(connection: Connection, shared: SharedSms, given: Sequence[NewSms]) -> dict[str, int]:
    """Store SMS that have much in common, as `store_texts` does."""
    return store_texts(connection, shared.company_id, [Text(shared, one) for one in given])


def store_texts(connection: Connection, company: int, texts: Sequence[Text]) -> dict[str, int]:
    """Store SMS of a company as ready, in this order, but those whose idempotency key is taken.

    Waits for another transaction that is storing the same key.

    Returns:
        The id of each SMS that was stored, by its own key.
    """
    rows = [
        {"place": place, **shared_row(one.shared), **row_of(one.new)}
        for place, one in enumerate(texts)
    ]
    values = {"company": company, "messages": json.dumps(rows, ensure_ascii=False)}
    return {row.message_id: row.id for row in connection.execute(STORE, values)}


def shared_row(shared: SharedSms | Shared) -> dict[str, Any]:
    """What a message has in common with others, as JSON can hold it."""
    return {
        "lane": shared.lane_id,
        "priority": int(shared.priority),
        "not_before": shared.not_before.isoformat(),
        "expires_at": shared.expires_at.isoformat(),
        "reference": shared.reference,
    }


def row_of(new: NewSms) -> dict[str, Any]:
    """What is stored of an SMS alone, as JSON can hold it."""
    return {
        "own_key": new.own_key,
        "number": new.number,
        "calling_code": new.calling_code,
        "sender": new.sender,
        "text": new.text,
        "encoding": new.encoding,
        "segments": new.segments,
        "key": new.key,
        "digest": new.digest.hex() if new.digest else None,
    }
