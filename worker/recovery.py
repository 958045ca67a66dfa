"""Recover: the periodic pass over what time has overtaken, for all automatic tasks."""

from __future__ import annotations

from collections.abc import Callable, Sized
from datetime import timedelta

import structlog
from sqlalchemy import Connection, Engine

from settings import Settings
from worker import alarms, db
from worker.outbox import journal, overdue
from worker.rebuild import is_whole, rebuild
from worker.throttle import Throttle, ThrottleUnavailable

log = structlog.get_logger()

RUN_IDLE = timedelta(minutes=1)
"""Chosen: a run of a task ends when it has had nothing to do for this long."""


def recover(engine: Engine, throttle: Throttle, settings: Settings) -> None:
    """Return, park or expire what is overdue, keep the throttle's log whole, watch for alarms.

    Late, lost or doubled runs do no harm: whoever comes first does the work.
    """
    moves: tuple[Callable[[Connection], Sized | int], ...] = (
        overdue.return_released,
        overdue.take_for_unknown,
        overdue.resend_silent,
        overdue.expire,
    )
    returned, unknown, resent, expired = (
        _in_batches(engine, move, key) for key, move in enumerate(moves)
    )
    with db.transaction(engine) as connection:
        journal.end_runs(connection, RUN_IDLE)
    if returned or unknown or resent or expired:
        log.warning("recovered", returned=returned, unknown=unknown, resent=resent, expired=expired)
    _keep_log_whole(engine, throttle)
    alarms.watch(engine, settings)


def _in_batches(engine: Engine, move: Callable[[Connection], Sized | int], key: int) -> int:
    """Move until nothing is left, in transactions short enough to be in nobody's way.

    Each move has a lock of its own: who leaves one to another who is at something else would
    leave it to nobody.
    """
    total = 0
    while True:
        with db.transaction(engine) as connection:
            if not db.try_lock(connection, db.Lock.RECOVERY, key):
                return total
            moved = move(connection)
        count = moved if isinstance(moved, int) else len(moved)
        total += count
        if count < overdue.BATCH:
            return total


def _keep_log_whole(engine: Engine, throttle: Throttle) -> None:
    try:
        with db.transaction(engine) as connection:
            whole = is_whole(connection, throttle)
        if not whole:  # only then: a rebuild waits out all claims, and they wait for it
            rebuild(engine, throttle)
    except ThrottleUnavailable as error:
        log.warning("the throttle's log was not rebuilt", error=str(error))
