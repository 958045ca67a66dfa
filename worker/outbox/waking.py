"""Which automatic tasks a ready message wakes. Only those that wait for such a thing."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

TAKES_LANE = """
    l.company_id = t.company_id AND l.channel = t.channel
    AND (l.task_id = t.id OR l.task_id IS NULL AND (
        l.establishment_id IN (
            SELECT e.establishment_id FROM task_establishment e WHERE e.task_id = t.id)
        OR NOT EXISTS (SELECT FROM task_establishment e WHERE e.task_id = t.id)))
"""
"""SQL: whether the automatic task t takes the messages of the lane l."""

# SKIP LOCKED: whoever keeps a task's row locked for long must not hold up all the others.
WAKE_FOR = text(f"""
    UPDATE automatic_task SET next_run_at = clock_timestamp() WHERE id IN (
        SELECT t.id FROM automatic_task t
        WHERE t.active AND (t.next_run_at IS NULL OR t.next_run_at > clock_timestamp())
          AND EXISTS (
            SELECT FROM lane l WHERE {TAKES_LANE} AND (
                l.id = ANY (CAST(:lanes AS bigint[])) AND t.waits_for IN ('work', 'domain')
                OR l.id = ANY (CAST(:urgent AS bigint[])) AND t.waits_for <> 'plan'))
        FOR UPDATE OF t SKIP LOCKED)
""")  # noqa: S608  no value of anybody's is in it

# A task that waits for a slot passes over bulk, but not over a transactional message.
WAKE_IDLE = text(f"""
    UPDATE automatic_task SET next_run_at = clock_timestamp() WHERE id IN (
        SELECT t.id FROM automatic_task t
        WHERE t.active AND t.waits_for <> 'plan'
          AND (t.next_run_at IS NULL OR t.next_run_at > clock_timestamp())
          AND EXISTS (
            SELECT FROM lane l CROSS JOIN unnest(ARRAY[0, 1, 2]::smallint[]) AS p(priority)
            CROSS JOIN LATERAL (
                SELECT FROM message r
                WHERE r.lane_id = l.id AND r.priority = p.priority AND r.state = 'ready'
                  AND r.not_before <= statement_timestamp()
                  AND (t.waits_for = 'work' OR p.priority = 0)
                ORDER BY r.not_before LIMIT 1) AS waiting
            WHERE {TAKES_LANE})
        FOR UPDATE OF t SKIP LOCKED)
""")  # noqa: S608  no value of anybody's is in it


def wake_for(connection: Connection, lanes: Sequence[int], urgent: Sequence[int]) -> int:
    """Have tasks swept at once into whose lanes something was enqueued; returns how many.

    Args:
        connection: in a transaction of its own.
        lanes: wake tasks that wait for work.
        urgent: wake also those that wait for a slot: a transactional message may go past.
    """
    values = {"lanes": list(lanes), "urgent": list(urgent)}
    return connection.execute(WAKE_FOR, values).rowcount


def wake_idle(connection: Connection) -> int:
    """Have tasks swept that wait although there is work for them: the net under `wake_for`.

    That one passes over a task whose row is locked, as it is at the end of a sweep.
    """
    return connection.execute(WAKE_IDLE).rowcount
