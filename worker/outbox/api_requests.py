"""Requests of the HTTP API under an idempotency key: one at a time, and the same one again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from sqlalchemy import Connection, text

# One 64-bit key: those of `worker.db.Lock` are pairs, and lie in another space.
TRY_LOCK = text("""
    SELECT pg_try_advisory_xact_lock(
        hashtextextended('api ' || CAST(:company AS bigint) || ' ' || CAST(:key AS text), 0))
""")

EARLIER = text("""
    SELECT m.idempotency_key AS key, m.id, a.digest
    FROM message m LEFT JOIN api_request a ON a.message_id = m.id
    WHERE m.company_id = :company AND m.channel = :channel
      AND m.idempotency_key = ANY (CAST(:keys AS text[]))
""")

STATES = text("""
    SELECT id, state FROM message
    WHERE company_id = :company AND id = ANY (CAST(:ids AS bigint[]))
""")

REMEMBER = text("""
    INSERT INTO api_request (message_id, digest)
    SELECT * FROM unnest(CAST(:messages AS bigint[]), CAST(:digests AS bytea[]))
""")


class Repeat(Enum):
    """What a request is beside an earlier one under its key."""

    SAME = auto()
    OTHER = auto()
    UNSURE = auto()
    """The message was enqueued in another way: its content decides."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A message under a key; `digest` is of the request, None if it came in another way."""

    message_id: int
    digest: bytes | None

    def beside(self, digest: bytes) -> Repeat:
        """What a request with this digest is."""
        if self.digest is None:
            return Repeat.UNSURE
        return Repeat.SAME if self.digest == digest else Repeat.OTHER


def try_lock(connection: Connection, company: int, key: str) -> bool:
    """Take a company's key until the transaction ends, or say that another request has it."""
    return bool(connection.execute(TRY_LOCK, {"company": company, "key": key}).scalar_one())


def earlier(
    connection: Connection, company: int, channel: str, keys: Sequence[str]
) -> dict[str, Earlier]:
    """What was enqueued before under these keys, by key."""
    values = {"company": company, "channel": channel, "keys": list(keys)}
    rows = connection.execute(EARLIER, values)
    return {row.key: Earlier(row.id, row.digest and bytes(row.digest)) for row in rows}


def states(connection: Connection, company: int, ids: Sequence[int]) -> dict[int, str]:
    """Where messages stand, by id."""
    rows = connection.execute(STATES, {"company": company, "ids": list(ids)})
    return {row.id: row.state for row in rows}


def remember(connection: Connection, digests: Mapping[int, bytes]) -> None:
    """Keep what was asked for when messages were enqueued, by their ids."""
    if digests:
        values = {"messages": list(digests), "digests": list(digests.values())}
        connection.execute(REMEMBER, values)
