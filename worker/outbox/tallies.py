"""Counting messages and attempts for the metrics: all of them, in a few statements a look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from worker.outbox.evidence import AT
from worker.outbox.waking import TAKES_LANE

NOBODY = 0
"""In place of a task's id: no automatic task takes these messages."""

TAKERS = text(f"""
    SELECT l.id AS lane_id, t.id AS task_id
    FROM lane l JOIN automatic_task t ON {TAKES_LANE} ORDER BY l.id, t.id
""")  # noqa: S608  no value of anybody's is in it

# Each by its partial index.
READY = text("""
    SELECT lane_id, count(*) AS messages FROM message WHERE state = 'ready' GROUP BY lane_id
""")
LEASED = text("""
    SELECT task_id, state, count(*) AS messages FROM message
    WHERE state IN ('released', 'sending') GROUP BY task_id, state
""")
PARKED = text("""
    SELECT lane_id, task_id, state, count(*) AS messages FROM message
    WHERE state IN ('held', 'unknown') GROUP BY lane_id, task_id, state
""")

# Three short looks into ix_message_ready a lane, however many are ready.
OLDEST = text("""
    SELECT l.id AS lane_id, min(first.not_before) AS since
    FROM lane l CROSS JOIN unnest(ARRAY[0, 1, 2]::smallint[]) AS p(priority)
    CROSS JOIN LATERAL (
        SELECT m.not_before FROM message m
        WHERE m.lane_id = l.id AND m.priority = p.priority AND m.state = 'ready'
          AND m.not_before <= statement_timestamp()
        ORDER BY m.not_before LIMIT 1) AS first
    GROUP BY l.id
""")

REFUSED = "refused"
"""In place of an attempt's state: it had no permit."""

ATTEMPTS = text("""
    SELECT task_id, account_id,
        CASE WHEN state = 'void' AND text LIKE 'no permit now%' THEN 'refused' ELSE state END
            AS outcome,
        count(*) AS attempts, sum(cost) AS cost
    FROM attempt WHERE opened_at >= :since AND opened_at < :until AND state <> 'open'
    GROUP BY 1, 2, 3
""")

# A window is (at - window, at]: it does not hold the moment at which it begins. An open attempt
# may yet be refused its permit; it counts once it is closed.
WORST = text(f"""
    SELECT task_id, max(used) AS worst FROM (
        SELECT task_id, at, sum(cost) OVER (
            PARTITION BY task_id ORDER BY at
            RANGE BETWEEN CAST(:window AS interval) - interval '1 microsecond' PRECEDING
                AND CURRENT ROW) AS used
        FROM ({AT}) AS attempt WHERE at > :since AND state <> 'open') AS running
    WHERE at > :judged_since GROUP BY task_id
""")  # noqa: S608  no value of anybody's is in it

# A detour: over an account that stands in for the task's own.
ON_THE_WAY = text("""
    SELECT coalesce(d.account_id, t.account_id) AS account_id, count(*) AS messages
    FROM message m JOIN automatic_task t ON t.id = m.task_id
    LEFT JOIN detour d ON d.message_id = m.id AND d.lease = m.lease
    WHERE m.state IN ('released', 'sending') GROUP BY 1
""")

AWAITED = text("""
    SELECT m.task_id, count(*) AS messages FROM sms JOIN message m ON m.id = sms.message_id
    WHERE sms.awaited GROUP BY m.task_id
""")


@dataclass(frozen=True, slots=True)
class Backlog:
    """Messages of an automatic task in one state.

    A message that several tasks may take counts at each. `task_id` is `NOBODY` where none may.
    """

    task_id: int
    state: str
    messages: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Attempts of an automatic task over an account that came to one outcome; cost as of permits.

    The outcome is the attempt's state, or `REFUSED`.
    """

    task_id: int
    account_id: int
    outcome: str
    attempts: int
    cost: int


class Takers:
    """Which automatic tasks take the messages of each lane."""

    def __init__(self, connection: Connection) -> None:
        self._of: dict[int, list[int]] = defaultdict(list)
        for row in connection.execute(TAKERS):
            self._of[row.lane_id].append(row.task_id)

    def of(self, lane_id: int) -> list[int]:
        """Ids of tasks; `NOBODY` alone if there is none."""
        return self._of.get(lane_id) or [NOBODY]


def backlog(connection: Connection, takers: Takers) -> list[Backlog]:
    """Every message that is not at an end, by automatic task and state."""
    found: dict[tuple[int, str], int] = defaultdict(int)
    for row in connection.execute(READY):
        for task_id in takers.of(row.lane_id):
            found[task_id, "ready"] += row.messages
    for row in connection.execute(LEASED):
        found[row.task_id, row.state] += row.messages
    for row in connection.execute(PARKED):
        tasks = takers.of(row.lane_id) if row.task_id is None else [row.task_id]
        for task_id in tasks:
            found[task_id, row.state] += row.messages
    return [Backlog(task_id, state, count) for (task_id, state), count in found.items()]


def oldest(connection: Connection, takers: Takers) -> dict[int, datetime]:
    """Since when the oldest ready message of each automatic task might have gone."""
    found: dict[int, datetime] = {}
    for row in connection.execute(OLDEST):
        for task_id in takers.of(row.lane_id):
            found[task_id] = min(found.get(task_id, row.since), row.since)
    return found


def attempts(connection: Connection, since: datetime, until: datetime) -> Iterator[Tally]:
    """Closed attempts that were opened in [since, until), counted."""
    for row in connection.execute(ATTEMPTS, {"since": since, "until": until}):
        yield Tally(row.task_id, row.account_id, row.outcome, row.attempts, row.cost)


def worst_windows(
    connection: Connection,
    now: datetime,
    window: timedelta,
    *,
    dot_by: timedelta,
    handover_max: timedelta,
) -> Mapping[int, int]:
    """Of each automatic task, the fullest of the windows that ended within the last one.

    Args:
        connection: any.
        now: PostgreSQL's clock.
        window: of the cadence.
        dot_by: the latest from a claim to its dot.
        handover_max: the latest from a claim to the answer to its dot.

    Returns:
        Envelope recipients of e-mails, segments of SMS, by task; idle tasks are left out.
    """
    since = now - 2 * window
    values = {
        "window": window,
        "since": since,
        "judged_since": now - window,
        "opened_after": since - handover_max,
        "until": now,
        "dot_by": dot_by,
        "handover_max": handover_max,
    }
    return {row.task_id: int(row.worst) for row in connection.execute(WORST, values)}


def on_the_way(connection: Connection) -> dict[int, int]:
    """Messages that are released or being sent, by the account over which they go."""
    return {row.account_id: row.messages for row in connection.execute(ON_THE_WAY)}


def awaited(connection: Connection) -> dict[int, int]:
    """SMS that the gateway accepted and of which no final report has come, by automatic task."""
    return {row.task_id or NOBODY: row.messages for row in connection.execute(AWAITED)}
