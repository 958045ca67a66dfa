"""Taking in what the gateway tells: kept first, then matched to its SMS, which follows.

A report may come before the answer to the POST that it is about: it stays without a message
until `sms_segments.add` or `match_late` finds it.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from worker.core.content import ContentError
from worker.core.phone_numbers import parse_number
from worker.core.sms_reports import Inbound, Report
from worker.core.stop_words import asks_to_stop
from worker.outbox import sms_hand_overs, sms_money, sms_segments
from worker.outbox.sms_segments import SAME_INTEGRATION

KEEP = text("""
    INSERT INTO delivery_report (account_id, source, uuid, own_key, number, segment, status,
        status_at, sent_at, operator, price, digest)
    VALUES (:account, :source, :uuid, :own_key, :number, :segment, :status, :status_at, :sent_at,
        :operator, :price, :digest)
    ON CONFLICT (digest) DO NOTHING
""")

# By its own key; where it has none, or not ours, by the uuid that the gateway gave it.
MATCH = f"""
    SELECT d.id, m.id AS message_id FROM delivery_report d
    JOIN LATERAL (
        SELECT * FROM (
            SELECT k.*, 1 AS way FROM message k
            WHERE k.message_id = lower(d.own_key) AND k.channel = 'sms'
            UNION ALL
            SELECT k.*, 2 FROM sms_segment s JOIN message k ON k.id = s.message_id
            WHERE s.uuid = d.uuid) AS m
        WHERE {SAME_INTEGRATION.format(account="d.account_id")}
        ORDER BY m.way, m.id DESC LIMIT 1) AS m ON true
    WHERE d.message_id IS NULL AND {{}}
    ORDER BY m.id, d.id
"""  # noqa: S608  no value of anybody's is in it
MATCH_THESE = text(MATCH.format("d.digest = ANY (CAST(:digests AS bytea[]))"))
MATCH_LATE = text(
    MATCH.format("d.at > clock_timestamp() - CAST(:age AS interval)") + " LIMIT :batch"
)

LOCK = text("SELECT id FROM message WHERE id = :id FOR UPDATE")

TAKE = text("""
    UPDATE delivery_report SET message_id = :message
    WHERE id = ANY (CAST(:ids AS bigint[])) AND message_id IS NULL RETURNING *
""")

INBOUND = text("""
    INSERT INTO inbound_sms (account_id, uuid, sender, recipient, received_at, text, stop)
    VALUES (:account, :uuid, :sender, :recipient, :received_at, :text, :stop)
    ON CONFLICT (account_id, uuid) DO NOTHING RETURNING at
""")

# A person who lifts a suppression keeps doing so: only a new SMS brings it back.
SUPPRESS = text("""
    INSERT INTO suppression (company_id, address, why)
    SELECT c.id, :address, 'asked by SMS on '
        || to_char(CAST(:at AS timestamptz) AT TIME ZONE c.time_zone, 'YYYY-MM-DD HH24:MI')
    FROM account a JOIN company c ON c.id = a.company_id WHERE a.id = :account
    ON CONFLICT DO NOTHING RETURNING company_id, why
""")

COUNTRY = text("""
    SELECT c.country FROM account a JOIN company c ON c.id = a.company_id WHERE a.id = :account
""")

LOG = text("""
    INSERT INTO audit_log (who, action, subject, after) VALUES (
        coalesce(nullif(current_setting('kadencia.who', true), ''), 'database:' || current_user),
        'suppress', 'company:' || :company, CAST(:after AS jsonb))
""")

LATE_BATCH = 200
"""Chosen: some hundred ms."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of the reports of one answer.

    Attributes:
        reports: how many there were.
        new: how many of them had not been taken in before.
        matched: how many were found to be about an SMS of ours now.
        moved: the new state of each message that they moved, by its id.
    """

    reports: int
    new: int
    matched: int
    moved: dict[int, str]


def store(
    connection: Connection, account_id: int, source: str, reports: Sequence[Report]
) -> Stored:
    """Keep reports and have their SMS follow them. Repeating it is harmless.

    Args:
        connection: in a transaction of its own. It locks messages in the order of their ids, then
            budgets: keep to some hundred reports, since claims wait for a budget's row.
        account_id: through which they came; any account that shares its integration ID will do.
        source: 'any', 'one', 'group' or 'push'.
        reports: in any order; those that say neither a uuid nor an own key are about nothing.
    """
    kept = {_digest(account_id, one): one for one in reports if one.uuid or one.own_key}
    new = sum(
        connection.execute(KEEP, _columns(account_id, source, digest, one)).rowcount
        for digest, one in sorted(kept.items())  # two that keep the same wait in one order
    )
    found = connection.execute(MATCH_THESE, {"digests": list(kept)}).all()
    matched, moved = _apply(connection, found)
    return Stored(len(reports), new, matched, moved)


def match_late(connection: Connection, age: timedelta) -> int:
    """Match reports that were kept while the answer to their POST was being committed.

    Args:
        connection: in a transaction of its own.
        age: how old they may be.

    Returns:
        How many were matched.
    """
    found = connection.execute(MATCH_LATE, {"age": age, "batch": LATE_BATCH}).all()
    return _apply(connection, found)[0]


def inbound(connection: Connection, account_id: int, sms: Inbound) -> bool:
    """Keep an SMS that came in; whoever asks to be left alone is suppressed.

    Args:
        connection: within a transaction.
        account_id: through which it came.
        sms: as read.

    Returns:
        False if it was taken in before; then nothing was changed.
    """
    values = {
        "account": account_id,
        "uuid": sms.uuid,
        "sender": sms.sender,
        "recipient": sms.recipient,
        "received_at": sms.received_at,
        "text": sms.text,
        "stop": asks_to_stop(sms.text),
    }
    at = connection.execute(INBOUND, values).scalar()
    if at is not None and values["stop"]:
        _suppress(connection, account_id, sms.sender, sms.received_at or at)
    return at is not None


def _suppress(connection: Connection, account_id: int, sender: str, at: datetime) -> None:
    country = connection.execute(COUNTRY, {"account": account_id}).scalar_one()
    address = _address(sender, country)
    if address is None:  # a name: nothing can be sent to it
        return
    values = {"account": account_id, "address": address, "at": at}
    row = connection.execute(SUPPRESS, values).one_or_none()
    if row is not None:
        after = json.dumps({"addresses": [address], "why": row.why})
        connection.execute(LOG, {"company": row.company_id, "after": after})


def _address(sender: str, country: str) -> str | None:
    """A number as `recipient.address` has it, whether the gateway writes it in full or not.

    >>> _address("421903622237", "SK"), _address("0903 622 237", "SK"), _address("Firma", "SK")
    ('+421903622237', '+421903622237', None)
    """
    digits = sender.strip().removeprefix("+")
    if digits.isascii() and digits.isdigit() and not digits.startswith("0"):
        return f"+{digits}"
    try:
        return parse_number(sender, country).e164
    except ContentError:
        return None


def _apply(connection: Connection, found: Sequence[Row[Any]]) -> tuple[int, dict[int, str]]:
    """Have each message take its reports, all messages before any budget."""
    by_message: dict[int, list[int]] = {}
    for row in found:
        by_message.setdefault(row.message_id, []).append(row.id)
    matched, moved, priced = 0, {}, set[uuid.UUID]()
    for message_id, ids in sorted(by_message.items()):
        connection.execute(LOCK, {"id": message_id})
        rows = connection.execute(TAKE, {"message": message_id, "ids": ids}).all()
        reports = [sms_hand_overs.to_report(row) for row in rows]
        priced |= sms_segments.take(connection, message_id, reports)
        state, corrected = sms_segments.follow_unpriced(connection, message_id)
        priced |= corrected
        matched += len(rows)
        if state is not None:
            moved[message_id] = state
    sms_money.correct(connection, priced)
    return matched, moved


def _columns(account_id: int, source: str, digest: bytes, one: Report) -> dict[str, Any]:
    return {
        "account": account_id,
        "source": source,
        "uuid": one.uuid,
        "own_key": one.own_key,
        "number": one.number,
        "segment": one.segment,
        "status": one.status,
        "status_at": one.done_at,
        "sent_at": one.sent_at,
        "operator": one.operator,
        "price": one.price,
        "digest": digest,
    }


def _digest(account_id: int, one: Report) -> bytes:
    """Of all that a report says, by the account: what others push must not hide ours."""
    said: list[Any] = [account_id, one.uuid, one.own_key, one.number, one.segment, one.status]
    said += [one.done_at, one.sent_at, one.operator, one.price]
    return hashlib.sha256(json.dumps(said, default=str).encode()).digest()
