"""What waits to be sent, as a sweep sees it: lanes, candidates, and what is on its way."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from models.states import Priority
from worker.core.agenda import Largest
from worker.core.slots import Candidate
from worker.outbox.waking import TAKES_LANE

FIRST_LOOK = 500  # chosen: rows by age, before going domain by domain
STEPS = 75  # chosen: domains that a sweep goes through from each start


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """What is released or being sent: recipients not yet in the throttle's log, and connections.

    Attributes:
        task_released: recipients of the task.
        account_released: recipients of all tasks of the account.
        account_messages: messages that have a connection, or are about to.
        domains_released: recipients by domain.
    """

    task_released: int
    account_released: int
    account_messages: int
    domains_released: Mapping[str, int]


LANES = text(f"""
    SELECT l.id FROM lane l JOIN automatic_task t ON t.id = :task WHERE {TAKES_LANE}
""")  # noqa: S608  no value of anybody's is in it

# What no limit lets through, ever; in each domain by itself, too.
TOO_BIG = """
    ({0}.cost > CASE {0}.priority WHEN 0 THEN :transactional ELSE :other END
     OR CASE WHEN {0}.domains IS NULL THEN {0}.cost > :in_domain
        ELSE EXISTS (SELECT FROM jsonb_each_text({0}.domains) AS d(name, n)
                     WHERE d.n::int > :in_domain) END)
"""
# NOT IN, not <> ALL: the planner weighs each element of an array, which takes it 5 ms for 2,000.
FITS = (
    """
    {0}.expires_at > statement_timestamp()
    AND {0}.domain NOT IN (SELECT unnest(string_to_array(:without, ' ')))
    AND ({0}.domains IS NULL OR NOT {0}.domains ?| string_to_array(:without, ' '))
    AND NOT """
    + TOO_BIG
)

# One scan of ix_message_ready for each lane, oldest first, whatever the backlog. What bounds it is
# the start of the statement: clock_timestamp() is volatile, and so no bound of an index scan.
OLDEST = text(f"""
    SELECT m.id, m.domain, m.domains, m.cost, m.priority, m.not_before
    FROM unnest(CAST(:lanes AS bigint[])) AS lane(id)
    CROSS JOIN unnest(ARRAY[0, 1, 2]::smallint[]) AS p(priority)
    CROSS JOIN LATERAL (
        SELECT * FROM (
            SELECT * FROM message r
            WHERE r.lane_id = lane.id AND r.priority = p.priority AND r.state = 'ready'
              AND r.not_before <= statement_timestamp()
            ORDER BY r.not_before LIMIT :look) AS looked
        WHERE {FITS.format("looked")}
        ORDER BY looked.not_before LIMIT :most) AS m
    ORDER BY m.priority, m.not_before LIMIT :most
""")  # noqa: S608  no value of anybody's is in it

# When full domains hide the rest: skip from domain to domain along ix_message_ready_domain, so
# that a full one costs a step, however many messages wait for it. So many steps from each start,
# so that thousands of domains cost no more than hundreds.
BY_DOMAIN = text(f"""
    WITH RECURSIVE hop(lane_id, priority, domain, n) AS (
        SELECT lane.id, p.priority, start.domain, 0
        FROM unnest(CAST(:lanes AS bigint[])) AS lane(id)
        CROSS JOIN unnest(CAST(:priorities AS smallint[])) AS p(priority)
        CROSS JOIN unnest(CAST(:starts AS text[])) AS start(domain)
        UNION ALL
        SELECT hop.lane_id, hop.priority, (
            SELECT r.domain FROM message r
            WHERE r.lane_id = hop.lane_id AND r.priority = hop.priority AND r.state = 'ready'
              AND r.domain > hop.domain
            ORDER BY r.lane_id, r.priority, r.domain LIMIT 1), hop.n + 1
        FROM hop WHERE hop.domain IS NOT NULL AND hop.n < :steps)
    SELECT m.id, m.domain, m.domains, m.cost, m.priority, m.not_before
    FROM (
        SELECT DISTINCT lane_id, priority, domain FROM hop
        WHERE n > 0 AND domain NOT IN (SELECT unnest(string_to_array(:without, ' ')))) AS open
    CROSS JOIN LATERAL (
        SELECT * FROM message r
        WHERE r.lane_id = open.lane_id AND r.priority = open.priority AND r.state = 'ready'
          AND r.domain = open.domain AND r.not_before <= statement_timestamp()
          AND {FITS.format("r")}
        ORDER BY r.not_before LIMIT :most) AS m
    ORDER BY m.priority, m.not_before LIMIT :most
""")  # noqa: S608  no value of anybody's is in it

# Whether the look by age did not reach all: what it saw may have been too big, or too late.
BEYOND_LOOK = text("""
    SELECT EXISTS (
        SELECT FROM unnest(CAST(:lanes AS bigint[])) AS lane(id)
        CROSS JOIN unnest(ARRAY[0, 1, 2]::smallint[]) AS p(priority)
        CROSS JOIN LATERAL (
            SELECT FROM message r
            WHERE r.lane_id = lane.id AND r.priority = p.priority AND r.state = 'ready'
              AND r.not_before <= statement_timestamp()
            ORDER BY r.not_before OFFSET :look LIMIT 1) AS m)
""")

NEXT_DUE = text("""
    SELECT min(m.not_before) FROM unnest(CAST(:lanes AS bigint[])) AS lane(id)
    CROSS JOIN unnest(ARRAY[0, 1, 2]::smallint[]) AS p(priority)
    CROSS JOIN LATERAL (
        SELECT r.not_before FROM message r
        WHERE r.lane_id = lane.id AND r.priority = p.priority AND r.state = 'ready'
          AND r.not_before > statement_timestamp()
        ORDER BY r.not_before LIMIT 1) AS m
""")

ANY = """
    SELECT EXISTS (
        SELECT FROM unnest(CAST(:lanes AS bigint[])) AS lane(id)
        CROSS JOIN unnest(ARRAY[0, 1, 2]::smallint[]) AS p(priority)
        CROSS JOIN LATERAL (
            SELECT FROM message r
            WHERE r.lane_id = lane.id AND r.priority = p.priority AND r.state = 'ready'
              AND r.not_before <= statement_timestamp()
              AND r.expires_at > statement_timestamp() AND {}
            ORDER BY r.not_before LIMIT 1) AS m)
"""
ANY_READY = text(ANY.format("true"))
ANY_TOO_BIG = text(ANY.format(TOO_BIG.format("r")))

# Who dies in mid-dialogue takes his connection along, though the message is sending for long.
# What is being sent goes through the account of its attempt, whatever its task has by now.
ON_THE_WAY = text("""
    WITH leased AS MATERIALIZED (
        SELECT m.task_id, m.lease, m.state, m.domain, m.domains, m.cost, coalesce(
            (SELECT a.account_id FROM attempt a WHERE a.id = m.lease),
            (SELECT d.account_id FROM detour d WHERE d.message_id = m.id AND d.lease = m.lease),
            (SELECT t.account_id FROM automatic_task t WHERE t.id = m.task_id)) AS account_id
        FROM message m
        WHERE m.state IN ('released', 'sending') AND m.task_id IN (
            SELECT t.id FROM automatic_task t JOIN account a ON a.company_id = t.company_id
            WHERE a.id = :account))
    SELECT l.task_id, l.state, l.domain, l.domains, l.cost, l.account_id = :account AS here,
        EXISTS (
            SELECT FROM attempt a
            JOIN process p ON left(p.id::text, 8) = split_part(a.worker, '/', 3)
            WHERE a.id = l.lease AND p.beat_at < clock_timestamp() - CAST(:silent_after AS interval)
        ) AS orphaned
    FROM leased l WHERE l.account_id = :account OR l.task_id = :task
""")


def lanes_of(connection: Connection, task_id: int) -> list[int]:
    """The lanes whose messages an automatic task may take."""
    return list(connection.execute(LANES, {"task": task_id}).scalars())


def candidates(
    connection: Connection,
    lanes: Sequence[int],
    most: int,
    without: Sequence[str],
    largest: Largest,
) -> list[Candidate[int]]:
    """Ready messages in the order in which they should go: best priority, then oldest.

    Args:
        connection: in the sweep's transaction.
        lanes: whose messages may be taken.
        most: how many are of use.
        without: full domains.
        largest: what is bigger can never go.
    """
    values = {
        "lanes": list(lanes),
        "most": most,
        "look": FIRST_LOOK + most,
        "without": " ".join(without),
        **asdict(largest),
    }
    rows = connection.execute(OLDEST, values).all()
    hidden = [p for p in Priority if sum(row.priority <= p for row in rows) < most]
    if hidden and (without or connection.execute(BEYOND_LOOK, values).scalar_one()):
        further = {"priorities": [int(p) for p in hidden], "starts": _starts(without)}
        others = connection.execute(BY_DOMAIN, values | further | {"steps": STEPS}).all()
        both = {row.id: row for row in (*rows, *others)}.values()
        rows = sorted(both, key=lambda row: (row.priority, row.not_before))[:most]
    return [
        Candidate(
            key=row.id,
            domains=row.domains or {row.domain: row.cost},
            transactional=row.priority == Priority.TRANSACTIONAL,
        )
        for row in rows
    ]


def _starts(full: Sequence[str]) -> list[str]:
    """Where to begin among the domains: by chance too, so that each has its turn.

    What has room lies before, between or beyond the full ones.
    """
    letters = "".join(random.choices(string.ascii_lowercase + string.digits, k=2))  # noqa: S311
    return ["", letters, *([random.choice(full), max(full)] if full else [])]  # noqa: S311


def next_due(connection: Connection, lanes: Sequence[int]) -> datetime | None:
    """When the next message that waits for its time may go."""
    due: datetime | None = connection.execute(NEXT_DUE, {"lanes": list(lanes)}).scalar()
    return due


def any_ready(connection: Connection, lanes: Sequence[int]) -> bool:
    """Whether a message waits that might go now, were there room."""
    return bool(connection.execute(ANY_READY, {"lanes": list(lanes)}).scalar_one())


def any_too_big(connection: Connection, lanes: Sequence[int], largest: Largest) -> bool:
    """Whether a message waits that no limit will let through as it is."""
    values = {"lanes": list(lanes), **asdict(largest)}
    return bool(connection.execute(ANY_TOO_BIG, values).scalar_one())


def on_the_way(
    connection: Connection, account_id: int, task_id: int, silent_after: timedelta
) -> OnTheWay:
    """What is released or being sent on an SMTP account, at most a few rows a connection.

    Args:
        connection: in the sweep's transaction.
        account_id: SMTP account.
        task_id: automatic task.
        silent_after: a process whose heart has not beaten for so long holds no connections.
    """
    values = {"account": account_id, "task": task_id, "silent_after": silent_after}
    rows = connection.execute(ON_THE_WAY, values).all()
    here = [row for row in rows if row.here]
    released = [row for row in here if row.state == "released"]
    domains: dict[str, int] = {}
    for row in released:
        for name, n in (row.domains or {row.domain: row.cost}).items():
            domains[name] = domains.get(name, 0) + n
    return OnTheWay(
        task_released=sum(
            row.cost for row in rows if row.state == "released" and row.task_id == task_id
        ),
        account_released=sum(row.cost for row in released),
        account_messages=sum(not row.orphaned for row in here),
        domains_released=domains,
    )
