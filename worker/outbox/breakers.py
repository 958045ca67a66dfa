"""The circuit breaker of each account, in its row, so that the whole fleet heeds it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from worker.core import breaker

UNKNOWNS_IN_A_ROW = 3
"""Chosen: one may be chance, three are a server or a filter that swallows answers."""

# Many processes fail at the same outage: it counts once, until the wait is over.
CLOSED = text("""
    SELECT breaker_failures FROM account
    WHERE id = :id AND (breaker_until IS NULL OR breaker_until <= clock_timestamp())
    FOR UPDATE
""")

TRIP = text("""
    UPDATE account SET breaker_failures = :failures, breaker_why = :why,
        breaker_until = clock_timestamp() + :wait
    WHERE id = :id
""")

RESET = text("""
    UPDATE account SET breaker_failures = 0, breaker_until = NULL, breaker_why = NULL
    WHERE id = :id AND breaker_failures > 0
      AND (breaker_until IS NULL OR breaker_until <= clock_timestamp())
""")

PAUSE_TASKS = text("""
    WITH paused AS (
        UPDATE automatic_task SET active = false, paused_why = :why
        WHERE account_id = :id AND active RETURNING id),
    logged AS (
        INSERT INTO audit_log (who, action, subject, before, after)
        SELECT 'kadencia', 'pause', 'task:' || id, jsonb_build_object('active', true),
            jsonb_build_object('active', false, 'why', CAST(:why AS text)) FROM paused)
    SELECT id FROM paused ORDER BY id
""")

LAST_ANSWERS = text("""
    SELECT state FROM attempt
    WHERE account_id = :id AND state NOT IN ('open', 'void')
    ORDER BY opened_at DESC LIMIT :most
""")


def trip(
    connection: Connection, account_id: int, why: str, jitter: float, asked: float | None = None
) -> timedelta | None:
    """Leave an account alone for a while, longer with each failure in a row.

    Args:
        connection: in a transaction of its own.
        account_id: SMTP account, or one at EuroSMS.
        why: the far side's words.
        jitter: chance, 0 up to 1.
        asked: seconds that the far side asked us to wait, if it did.

    Returns:
        For how long; None if it is left alone already.
    """
    row: Row[Any] | None = connection.execute(CLOSED, {"id": account_id}).one_or_none()
    if row is None:
        return None
    failures = row.breaker_failures + 1
    wait = breaker.open_for(failures, jitter, asked)
    connection.execute(TRIP, {"id": account_id, "failures": failures, "wait": wait, "why": why})
    return wait


def reset(connection: Connection, account_id: int) -> bool:
    """An account took a mail again; returns whether that ended a series of failures."""
    return connection.execute(RESET, {"id": account_id}).rowcount == 1


def pause_tasks(connection: Connection, account_id: int, why: str) -> list[int]:
    """Pause the automatic tasks of an account that refuses everything, until a person resumes them.

    Returns:
        Those that were active.
    """
    return list(connection.execute(PAUSE_TASKS, {"id": account_id, "why": why}).scalars())


def swallows_answers(connection: Connection, account_id: int) -> bool:
    """Whether the last hand-overs at an account were all unknown."""
    values = {"id": account_id, "most": UNKNOWNS_IN_A_ROW}
    states = list(connection.execute(LAST_ANSWERS, values).scalars())
    return len(states) == UNKNOWNS_IN_A_ROW and set(states) == {"unknown"}
