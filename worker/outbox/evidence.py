"""Reading attempts: what was handed over, for the throttle's rebuild and the audit of the rate."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

BATCH = 2000  # chosen: rows held in memory at once; some 1 MB

UNDER_WAY = """
    SELECT count(*) FILTER (WHERE c.channel = 'email') AS emails,
        count(*) FILTER (WHERE c.channel = 'sms') AS sms
    FROM attempt a JOIN account c ON c.id = a.account_id
    WHERE a.state = 'open' AND starts_with(a.worker, {begins})
"""
"""SQL: how many hand-overs are under way in processes whose names begin so."""

# What a window may still hold, whatever became of it; void attempts reached nobody.
COUNTING = text("""
    SELECT id, task_id, account_id, domains,
        CASE WHEN state NOT IN ('open', 'unknown') THEN closed_at END AS answered_at
    FROM attempt WHERE state <> 'void' AND opened_at > :opened_after
""")

# A mail that its server could never take, or whose MAIL had no answer, was not handed over: its
# permit was given back, or was spent on nothing.
AT = """
        SELECT *, CASE WHEN state IN ('open', 'unknown') THEN least(closed_at, opened_at + :dot_by)
                       ELSE least(closed_at, opened_at + :handover_max) END AS at
        FROM attempt
        WHERE state <> 'void' AND opened_at > :opened_after AND opened_at <= :until
          AND (phase IN ('connect', 'greeting', 'ehlo', 'starttls', 'auth')
               OR phase = 'mail' AND code IS NULL) IS NOT TRUE
"""
"""SQL: hand-overs with the time at which each counts; it may lie beyond `until`."""

HANDED_OVER = text(f"""
    SELECT task_id, account_id, cost, domains, opened_at, at FROM ({AT}) AS attempt
    WHERE at > :since AND at <= :until
    ORDER BY at
""")  # noqa: S608  no value of anybody's is in it


@dataclass(frozen=True, slots=True)
class Counting:
    """An attempt that a budget may have to count; `answered_at` is None if none was recorded."""

    id: uuid.UUID
    task_id: int
    account_id: int
    domains: dict[str, int]
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A hand-over at the time at which it counts, and when its attempt was opened."""

    task_id: int
    account_id: int
    cost: int
    domains: dict[str, int]
    opened_at: datetime
    at: datetime


def counting(connection: Connection, opened_after: datetime) -> Iterator[Counting]:
    """Stream the attempts opened since a time that are not void, in no order."""
    rows = connection.execute(
        COUNTING, {"opened_after": opened_after}, execution_options={"yield_per": BATCH}
    )
    for row in rows:
        yield Counting(row.id, row.task_id, row.account_id, row.domains, row.answered_at)


def handed_over(
    connection: Connection,
    since: datetime,
    until: datetime,
    *,
    dot_by: timedelta,
    handover_max: timedelta,
) -> Iterator[HandedOver]:
    """Stream what was handed over in (since, until], oldest first.

    An answered attempt counts when it was closed. A clock that was set meanwhile cannot move
    that beyond `handover_max` after it was opened. One without an answer counts when its dot
    was due, unless it was closed before. One that ended before an answer to MAIL is left out.
    """
    values = {
        "since": since,
        "until": until,
        "opened_after": since - handover_max,
        "dot_by": dot_by,
        "handover_max": handover_max,
    }
    rows = connection.execute(HANDED_OVER, values, execution_options={"yield_per": BATCH})
    for row in rows:
        yield HandedOver(row.task_id, row.account_id, row.cost, row.domains, row.opened_at, row.at)
