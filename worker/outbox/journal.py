"""The automatic task as a sweep sees it, and the journal of its runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from models.states import Waits
from worker.outbox.in_charge import IN_CHARGE

SWEPT = text(f"""
    SELECT t.id, t.channel, t.sweep_no, t.active, t.cadence, t.reserve, t.plan_days, t.plan_from,
        t.plan_until, s.name AS server, s.paused, c.time_zone, a.id AS account_id,
        t.account_id AS own_account_id,
        EXISTS (SELECT FROM task_account k WHERE k.task_id = t.id) AS falls_back,
        a.enabled, a.hourly_limit, a.domain_hourly_limit, a.most_connections,
        a.breaker_failures, a.breaker_until, i.generation, i.stopped_at,
        (SELECT k.exhausted_until FROM sms_task k WHERE k.task_id = t.id) AS exhausted_until,
        clock_timestamp() AS now
    FROM automatic_task t
    JOIN server s ON s.id = {IN_CHARGE}
    JOIN company c ON c.id = t.company_id
    JOIN account a ON a.id = coalesce(CAST(:account AS bigint), t.account_id)
    CROSS JOIN installation i
    WHERE t.id = :task
""")  # noqa: S608  no value of anybody's is in it

# Beat sleeps for up to a second: it must hear of a moment that comes sooner.
TELL_BEAT = text("SELECT pg_notify('kadencia_task', CAST(:task AS text))")
SOON = timedelta(seconds=1)

# Whatever woke the task meanwhile has the last word: a newer sweep, or whoever made it due.
SET_NEXT = text("""
    UPDATE automatic_task SET next_run_at = :next_run_at, waits_for = :waits_for
    WHERE id = :task AND sweep_no = :sweep_no
      AND (next_run_at IS NULL OR next_run_at > clock_timestamp())
""")

NOTE_RUN = text("""
    INSERT INTO task_run AS run (task_id, sweeps, released, last_sweep_at, why_not_more)
    VALUES (:task, 1, :released, clock_timestamp(), :why)
    ON CONFLICT (task_id) WHERE ended_at IS NULL DO UPDATE SET
        sweeps = run.sweeps + 1, released = run.released + excluded.released,
        last_sweep_at = excluded.last_sweep_at, why_not_more = excluded.why_not_more
""")

NOTE_IDLE_SWEEP = text("""
    UPDATE task_run SET sweeps = sweeps + 1, last_sweep_at = clock_timestamp(),
        why_not_more = :why
    WHERE task_id = :task AND ended_at IS NULL
""")

END_RUNS = text("""
    UPDATE task_run r SET ended_at = r.last_sweep_at
    FROM automatic_task t
    WHERE t.id = r.task_id AND r.ended_at IS NULL
      AND r.last_sweep_at < clock_timestamp() - :idle
      AND (NOT t.active OR t.waits_for IN ('work', 'plan'))
      AND NOT EXISTS (SELECT FROM message m WHERE m.task_id = t.id
                      AND m.state IN ('released', 'sending'))
""")


def swept(connection: Connection, task_id: int, account_id: int | None = None) -> Row[Any] | None:
    """An automatic task with what a sweep must know of its server, account and installation.

    Args:
        connection: of the sweep's transaction.
        task_id: automatic task.
        account_id: one that it falls back to; None for its own.
    """
    values = {"task": task_id, "account": account_id}
    return connection.execute(SWEPT, values).one_or_none()


def set_next(
    connection: Connection,
    task_id: int,
    sweep_no: int,
    at: datetime | None,
    waits: Waits,
    now: datetime,
) -> None:
    """Say when the task is to be swept next, unless it is due already or a newer sweep was begun.

    A sweep takes the task's row as it is at its start, due half a minute later: if it is due
    before this sweep has ended, something has changed that this sweep did not see.
    """
    connection.execute(
        SET_NEXT,
        {"task": task_id, "sweep_no": sweep_no, "next_run_at": at, "waits_for": waits.value},
    )
    if at is not None and at - now < SOON:
        connection.execute(TELL_BEAT, {"task": task_id})


def note(connection: Connection, task_id: int, released: int, why_not_more: str) -> None:
    """Write a sweep into the journal; one that finds nothing to do opens no run."""
    statement = NOTE_RUN if released else NOTE_IDLE_SWEEP
    connection.execute(statement, {"task": task_id, "released": released, "why": why_not_more})


def end_runs(connection: Connection, idle: timedelta) -> int:
    """Close the runs of tasks that have had nothing to do for a while; returns how many."""
    return connection.execute(END_RUNS, {"idle": idle}).rowcount
