"""Keeping one live OAC server in charge of each automatic task that names stand-ins.

Any beat does it, by compare-and-set: of several that see the same silence, one moves the task.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, text

from models.states import Channel
from worker import db
from worker.core.stand_ins import Decision, ServerFacts, Step, TaskFacts, decide
from worker.outbox import leases
from worker.registers import audit

log = structlog.get_logger()

WHO = "beat"
"""Who signs in the audit log."""

TASKS = text("""
    SELECT t.id, t.name, t.channel, t.server_id, t.acting_server_id,
        coalesce(make_interval(secs => t.stand_in_after), :silent_after) AS after,
        clock_timestamp() - t.back_since AS back_for, named.servers
    FROM automatic_task t CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(n.server_id ORDER BY n.place), '{}') AS servers
        FROM task_stand_in n WHERE n.task_id = t.id) AS named
    WHERE t.active AND (t.acting_server_id IS NOT NULL OR cardinality(named.servers) > 0)
    ORDER BY t.id
""")

SERVERS = text("""
    SELECT s.id, s.name, s.paused, of.channel,
        clock_timestamp() - greatest(max(p.beat_at), s.left_at) AS quiet,
        count(p.id) FILTER (WHERE p.beat_at > clock_timestamp() - :silent_after) > 0 AS alive,
        coalesce(bool_and(p.stands_in)
            FILTER (WHERE p.beat_at > clock_timestamp() - :silent_after), false) AS stands_in,
        coalesce(clock_timestamp() - min(p.started_at)
            FILTER (WHERE p.beat_at > clock_timestamp() - :silent_after), interval '0') AS up
    FROM server s CROSS JOIN (VALUES ('email'), ('sms')) AS of(channel)
    LEFT JOIN process p ON p.server_id = s.id
        AND CASE of.channel WHEN 'sms' THEN p.sms_slots ELSE p.slots END > 0
    GROUP BY s.id, of.channel
""")

# A task whose row somebody holds is looked at again at the next turn: beat waits for nobody.
UNCHANGED = """
    SELECT id FROM automatic_task
    WHERE id = :id AND active AND server_id = :own
      AND acting_server_id IS NOT DISTINCT FROM CAST(:acting AS bigint)
    FOR UPDATE SKIP LOCKED
"""

# A raised number makes a sweep that is under way on the other server stale.
PUT_IN_CHARGE = text(f"""
    UPDATE automatic_task SET acting_server_id = nullif(CAST(:to AS bigint), server_id),
        back_since = NULL, sweep_no = sweep_no + 1, next_run_at = clock_timestamp()
    WHERE id IN ({UNCHANGED})
""")  # noqa: S608  no value of anybody's is in it

NOTE_BACK = text(f"""
    UPDATE automatic_task
    SET back_since = CASE WHEN CAST(:back AS boolean)
        THEN coalesce(back_since, clock_timestamp()) END
    WHERE id IN ({UNCHANGED})
""")  # noqa: S608  no value of anybody's is in it

ENTER = text("""
    INSERT INTO task_server_change (task_id, from_server_id, to_server_id, why)
    VALUES (:id, :from, :to, :why)
""")

Servers = dict[tuple[int, str], ServerFacts]
"""By number and channel."""


@dataclass(frozen=True, slots=True)
class Change:
    """A task that another server was put in charge of."""

    task_id: int
    server: str
    why: str


def look_after(engine: Engine, silent_after: timedelta) -> list[Change]:
    """Put a live server in charge of every active task whose present one is silent.

    What the silent one was given and has not begun goes back at once: its claims are refused
    from now on.

    Args:
        engine: the product's database.
        silent_after: a server without a heartbeat for this long is silent, unless the task
            has a time of its own.

    Returns:
        What was changed.
    """
    with db.transaction(engine, who=WHO) as connection:
        values = {"silent_after": silent_after}
        tasks = connection.execute(TASKS, values).all()
        if not tasks:
            return []
        servers = {
            (row.id, row.channel): ServerFacts(
                row.id, row.name, row.paused, row.quiet, row.alive, row.stands_in, row.up
            )
            for row in connection.execute(SERVERS, values)
        }
        found = [_look_after(connection, task, servers) for task in tasks]
    return [one for one in found if one is not None]


def _look_after(connection: Connection, task: Row[Any], servers: Servers) -> Change | None:
    facts = _facts(task, servers)
    decision = decide(facts)
    expected = {"id": task.id, "own": task.server_id, "acting": task.acting_server_id}
    if decision.step is Step.CHANGE and decision.to is not None:
        if not connection.execute(PUT_IN_CHARGE, expected | {"to": decision.to.id}).rowcount:
            return None
        return _note(connection, task, facts.acting or facts.own, decision.to, decision)
    if decision.step is not Step.STAY:
        connection.execute(NOTE_BACK, expected | {"back": decision.step is Step.SEEN_BACK})
    return None


def _facts(task: Row[Any], servers: Servers) -> TaskFacts:
    acting = task.acting_server_id
    return TaskFacts(
        own=servers[task.server_id, task.channel],
        stand_ins=[servers[one, task.channel] for one in task.servers],
        acting=None if acting is None else servers[acting, task.channel],
        after=task.after,
        back_for=task.back_for,
    )


def _note(
    connection: Connection, task: Row[Any], old: ServerFacts, new: ServerFacts, decision: Decision
) -> Change:
    returned = leases.return_released_of_task(connection, task.id, f"its OAC server {decision.why}")
    values = {"id": task.id, "from": old.id, "to": new.id, "why": decision.why}
    connection.execute(ENTER, values)
    action = "take back" if new.id == task.server_id else "stand in"
    before, after = {"in_charge": old.name}, {"in_charge": new.name, "why": decision.why}
    audit.record(connection, action, f"task:{task.id}", before, after)
    log.warning(
        "another OAC server is in charge",
        task=task.id,
        sends="SMS" if task.channel == Channel.SMS else "e-mails",
        server=new.name,
        why=decision.why,
        returned=returned,
    )
    return Change(task.id, new.name, decision.why)
