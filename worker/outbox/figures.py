"""Counting messages and attempts for people, without ever reading all of a large outbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import Channel, MessageState
from worker.outbox.in_charge import IN_CHARGE
from worker.outbox.waking import TAKES_LANE

COUNTED_MOST = 10_000
"""Chosen: a backlog is counted up to here, in some milliseconds; beyond, it is "more"."""

# The order is that of ix_message_ready, so that no plan reads the whole table instead. The
# limit is in each lane, else one of a million rows is read to its end.
WAITING = """
    SELECT 1 FROM message m WHERE m.lane_id = lane.id AND m.state = 'ready'
    ORDER BY m.priority, m.not_before LIMIT :most
"""

BACKLOG = text(f"""
    SELECT count(*) FROM (
        SELECT 1 FROM (
            SELECT DISTINCT l.id FROM lane l JOIN automatic_task t ON {TAKES_LANE}
            WHERE t.id = ANY (CAST(:tasks AS bigint[]))) AS lane
        CROSS JOIN LATERAL ({WAITING}) AS one
        LIMIT :most) AS counted
""")  # noqa: S608  no value of anybody's is in it

ON_THE_WAY = text("""
    SELECT count(*) FROM message
    WHERE state IN ('released', 'sending') AND task_id = ANY (CAST(:tasks AS bigint[]))
""")

# By the index on (task_id, opened_at): an answer is had `longest` after the opening at most.
SENT = text("""
    SELECT coalesce(sum(cost), 0) FROM attempt
    WHERE task_id = ANY (CAST(:tasks AS bigint[])) AND state = 'accepted'
      AND opened_at > statement_timestamp() - CAST(:window AS interval) - CAST(:longest AS interval)
      AND closed_at > statement_timestamp() - CAST(:window AS interval)
""")

# By ix_message_parked.
PARKED = text("""
    SELECT count(*) FROM (
        SELECT 1 FROM message WHERE state = :state AND state IN ('held', 'unknown')
        ORDER BY id LIMIT :most) AS counted
""")

AWAITED = text("""
    SELECT count(*) FROM (SELECT 1 FROM sms WHERE awaited LIMIT :most) AS counted
""")

# Which lanes nobody serves is known before a message is looked at.
LANES_WITHOUT_TASK = text(f"""
    WITH lane AS MATERIALIZED (
        SELECT l.*, taker.paused, taker.unmanned FROM lane l CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(t.name) FILTER (WHERE NOT t.active), '{{}}') AS paused,
                coalesce(array_agg(s.name) FILTER (WHERE t.active), '{{}}') AS unmanned,
                bool_or(t.active AND EXISTS (
                    SELECT FROM process p WHERE p.server_id = {IN_CHARGE})) AS served
            FROM automatic_task t JOIN server s ON s.id = {IN_CHARGE} WHERE {TAKES_LANE}) AS taker
        WHERE taker.served IS NOT TRUE)
    SELECT lane.id, lane.company_id, lane.paused, lane.unmanned, waits.messages,
        c.name AS company, b.name AS establishment, named.name AS task,
        lane.channel,
        EXISTS (SELECT FROM automatic_task t WHERE t.company_id = lane.company_id
            AND t.channel = lane.channel) AS any_task
    FROM lane
    CROSS JOIN LATERAL (SELECT count(*) AS messages FROM ({WAITING}) AS one) AS waits
    JOIN company c ON c.id = lane.company_id
    LEFT JOIN establishment b ON b.id = lane.establishment_id
    LEFT JOIN automatic_task named ON named.id = lane.task_id
    WHERE waits.messages > 0
    ORDER BY c.name, lane.id
""")  # noqa: S608  no value of anybody's is in it


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are, or that there are more than `COUNTED_MOST`.

    >>> str(counted(12)), str(counted(10_001))
    ('12', '10,000+')
    """

    least: int
    more: bool

    def __str__(self) -> str:
        return f"{self.least:,}{'+' if self.more else ''}"


def counted(found: int) -> Count:
    """The count of which a query found so many, up to one above `COUNTED_MOST`."""
    return Count(min(found, COUNTED_MOST), found > COUNTED_MOST)


@dataclass(frozen=True, slots=True)
class Stranded:
    """A lane whose ready messages no automatic task will ever take as things stand, and why."""

    lane_id: int
    company_id: int
    company: str
    establishment: str | None
    task: str | None
    """The automatic task that its messages name."""
    messages: Count
    why: str


def backlog(connection: Connection, tasks: Sequence[int]) -> Count:
    """Ready messages that these automatic tasks may take, paused ones among them too."""
    values = {"tasks": list(tasks), "most": COUNTED_MOST + 1}
    return counted(connection.execute(BACKLOG, values).scalar_one())


def on_the_way(connection: Connection, tasks: Sequence[int]) -> int:
    """Messages of these automatic tasks that are released or being sent."""
    found: int = connection.execute(ON_THE_WAY, {"tasks": list(tasks)}).scalar_one()
    return found


def sent(
    connection: Connection, tasks: Sequence[int], window: timedelta, longest: timedelta
) -> int:
    """Recipients whose mail was accepted in the last window.

    Args:
        connection: any.
        tasks: ids of automatic tasks.
        window: of the cadence.
        longest: the most between an attempt's opening and its answer.
    """
    values = {"tasks": list(tasks), "window": window, "longest": longest}
    return int(connection.execute(SENT, values).scalar_one())


def parked(connection: Connection, state: MessageState) -> Count:
    """Messages that wait for a person: held, or unknown."""
    values = {"state": str(state), "most": COUNTED_MOST + 1}
    return counted(connection.execute(PARKED, values).scalar_one())


def awaited(connection: Connection) -> Count:
    """SMS that the gateway accepted and of which no final report has come."""
    return counted(connection.execute(AWAITED, {"most": COUNTED_MOST + 1}).scalar_one())


def lanes_without_task(connection: Connection) -> list[Stranded]:
    """Lanes with ready messages that no active automatic task will ever take, by company."""
    rows = connection.execute(LANES_WITHOUT_TASK, {"most": COUNTED_MOST + 1})
    return [
        Stranded(
            lane_id=row.id,
            company_id=row.company_id,
            company=row.company,
            establishment=row.establishment,
            task=row.task,
            messages=counted(row.messages),
            why=_why(row),
        )
        for row in rows
    ]


def _why(row: Row[Any]) -> str:
    if row.unmanned:
        return f"no worker has registered for OAC server {_named(row.unmanned)}"
    if row.paused:
        return f"paused: automatic task {_named(row.paused)}"
    if row.any_task:
        return "the company's automatic tasks are limited to other establishments"
    what = "SMS" if row.channel == Channel.SMS else "e-mails"
    return f"the company has no automatic task that sends {what}"


def _named(names: Sequence[str]) -> str:
    return ", ".join(sorted(set(names)))
