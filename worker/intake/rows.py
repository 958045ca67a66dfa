"""All SQL on what was handed in and is not yet, or will never be, a message."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import Channel

BATCH = 200
"""Chosen: a transaction of some 0.2 s."""
BATCH_OCTETS = 16_000_000
"""Chosen: of documents that are held in memory at once, beyond the first."""

# Best priority first, then oldest, up to so many and so large. Who takes some passes over others'.
# The size on disk is cheap to ask for, but of compressed text: what is left is measured again.
# Documents are fetched as text: one that this language cannot read must not hide the others.
WAITING = text("""
    WITH locked AS MATERIALIZED (
        SELECT id, priority, pg_column_size(document) AS size FROM intake
        WHERE state = 'waiting' AND id <> ALL (CAST(:without AS bigint[]))
        ORDER BY priority, id LIMIT :batch FOR UPDATE SKIP LOCKED),
    summed AS MATERIALIZED (
        SELECT id, sum(size) OVER (ORDER BY priority, id) - size AS before FROM locked),
    measured AS MATERIALIZED (
        SELECT i.id, i.priority, octet_length(CAST(i.document AS text)) AS size
        FROM intake i JOIN summed s ON s.id = i.id WHERE s.before < :octets),
    fitting AS MATERIALIZED (
        SELECT id, sum(size) OVER (ORDER BY priority, id) - size AS before FROM measured)
    SELECT i.id, i.company_id, i.channel, i.source, CAST(i.document AS text) AS document,
        (SELECT count(*) = :batch OR max(before) >= :octets FROM summed)
            OR (SELECT max(before) >= :octets FROM fitting) AS more
    FROM intake i JOIN fitting f ON f.id = i.id WHERE f.before < :octets
    ORDER BY i.priority, i.id
""")

ACCEPT = text("""
    UPDATE intake i SET state = 'accepted', message_id = g.message_id, document = NULL, why = NULL,
        settled_at = clock_timestamp()
    FROM unnest(CAST(:ids AS bigint[]), CAST(:messages AS bigint[])) AS g(id, message_id)
    WHERE i.id = g.id
""")

REJECT = text("""
    UPDATE intake i SET state = 'rejected', why = g.why, settled_at = clock_timestamp()
    FROM unnest(CAST(:ids AS bigint[]), CAST(:reasons AS text[])) AS g(id, why) WHERE i.id = g.id
""")

# A repeat of what was rejected says it anew; one that was dismissed is a person's to see again.
KEEP = text("""
    INSERT INTO intake (company_id, channel, source, state, document, idempotency_key, why,
        origin, settled_at)
    VALUES (:company, :channel, 'celery', 'rejected', CAST(:document AS jsonb), :key, :why,
        :origin, clock_timestamp())
    ON CONFLICT (source, company_id, idempotency_key) WHERE idempotency_key IS NOT NULL
    DO UPDATE SET channel = excluded.channel, state = 'rejected', document = excluded.document,
        why = excluded.why, origin = excluded.origin, message_id = NULL,
        settled_at = clock_timestamp()
    RETURNING id
""")

# What was rejected under the key, and was now handed in mended.
SETTLE = text("""
    UPDATE intake SET state = 'accepted', message_id = :message, document = NULL, why = NULL,
        settled_at = clock_timestamp()
    WHERE source = 'celery' AND state = 'rejected' AND idempotency_key = :key
      AND (company_id = :company OR company_id IS NULL)
""")

LISTING = text("""
    SELECT i.id, i.state, i.source, i.channel, c.name AS company, i.why, i.idempotency_key AS key,
        i.origin, i.message_id, i.created_at, i.settled_at
    FROM intake i LEFT JOIN company c ON c.id = i.company_id
    WHERE (CAST(:state AS text) IS NULL OR i.state = :state)
      AND (CAST(:id AS bigint) IS NULL OR i.id = :id)
    ORDER BY i.id DESC LIMIT :most
""")

DOCUMENT = text("SELECT CAST(document AS text) FROM intake WHERE id = :id")

RETRY = text("""
    UPDATE intake SET state = 'waiting', settled_at = NULL
    WHERE state = 'rejected' AND (CAST(:ids AS bigint[]) IS NULL OR id = ANY (:ids))
    RETURNING id
""")

DISMISS = text("""
    UPDATE intake SET state = 'dismissed', document = NULL, settled_at = clock_timestamp()
    WHERE state = 'rejected' AND (CAST(:ids AS bigint[]) IS NULL OR id = ANY (:ids))
    RETURNING id
""")

DROP_DISMISSED = text("""
    DELETE FROM intake WHERE id IN (
        SELECT id FROM intake
        WHERE state = 'dismissed' AND settled_at < statement_timestamp() - CAST(:age AS interval)
        ORDER BY settled_at LIMIT 1000 FOR UPDATE SKIP LOCKED)
""")


@dataclass(frozen=True, slots=True)
class Look:
    """Which rows a person wants to see.

    Attributes:
        state: of `models.states.IntakeState`; None for all.
        id: only this one.
        most: the newest so many.
    """

    state: str | None = None
    id: int | None = None
    most: int = 100


def waiting(connection: Connection, without: Sequence[int]) -> Sequence[Row[Any]]:
    """Lock what is to be taken in next; `more` of each row says whether others may wait.

    Args:
        connection: in a transaction; who else takes in passes over these.
        without: ids that are left for later.
    """
    values = {"batch": BATCH, "octets": BATCH_OCTETS, "without": list(without)}
    return connection.execute(WAITING, values).all()


def accept(connection: Connection, messages: Mapping[int, int]) -> None:
    """Note which message each became, and let go of the documents."""
    if messages:
        values = {"ids": list(messages), "messages": list(messages.values())}
        connection.execute(ACCEPT, values)


def reject(connection: Connection, reasons: Mapping[int, str]) -> None:
    """Keep documents as rejected, each with its reason."""
    if reasons:
        values = {"ids": list(reasons), "reasons": list(reasons.values())}
        connection.execute(REJECT, values)


def keep(
    connection: Connection,
    company_id: int | None,
    channel: Channel,
    document: Any,
    key: str | None,
    why: str,
    origin: str | None,
) -> int:
    """Keep as rejected what a Celery task brought; returns its id."""
    values = {
        "company": company_id,
        "channel": channel.value,
        "document": json.dumps(document),
        "key": key,
        "why": why,
        "origin": origin,
    }
    made: int = connection.execute(KEEP, values).scalar_one()
    return made


def settle(connection: Connection, company_id: int, key: str, message_id: int) -> None:
    """A document came by Celery and is a message: one rejected earlier under its key is settled."""
    values = {"company": company_id, "key": key, "message": message_id}
    connection.execute(SETTLE, values)


def listing(connection: Connection, which: Look) -> list[dict[str, Any]]:
    """Rows, newest first, without their content."""
    values = {"state": which.state, "id": which.id, "most": which.most}
    return [dict(row._mapping) for row in connection.execute(LISTING, values)]


def document(connection: Connection, intake_id: int) -> str | None:
    """What was handed in, as JSON; None once it is a message or was dismissed."""
    found: str | None = connection.execute(DOCUMENT, {"id": intake_id}).scalar_one()
    return found


def retry(connection: Connection, ids: Sequence[int] | None) -> list[int]:
    """Have rejected documents wait again, all of them for None; returns which."""
    return list(connection.execute(RETRY, {"ids": None if ids is None else list(ids)}).scalars())


def dismiss(connection: Connection, ids: Sequence[int] | None) -> list[int]:
    """Give rejected documents up and drop their content, all of them for None; returns which."""
    return list(connection.execute(DISMISS, {"ids": None if ids is None else list(ids)}).scalars())


def drop_dismissed(connection: Connection, age: timedelta) -> int:
    """Delete up to 1,000 rows that were dismissed so long ago; returns how many."""
    return connection.execute(DROP_DISMISSED, {"age": age}).rowcount
