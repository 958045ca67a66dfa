"""Rebuilding the throttle's log out of the attempts in PostgreSQL, after Redis has lost it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import timedelta

from sqlalchemy import Connection, Engine, text

from worker import db
from worker.core.instants import to_us
from worker.outbox import evidence
from worker.outbox.evidence import Counting
from worker.throttle import Throttle, ThrottleUnavailable, budgets_of, entries

TRIES = 5  # chosen: a log that is lost again during each of them has another trouble

GENERATION = text("SELECT generation FROM installation")
NEXT_GENERATION = text("""
    UPDATE installation SET generation = nextval('throttle_generation') RETURNING generation
""")


def rebuild(engine: Engine, throttle: Throttle) -> bool:
    """Fill and open the throttle's log, if it is not whole.

    Permits from before the loss stay valid: their attempts are counted. The log is filled
    before the commit that raises the generation. Nobody can ask with the new one before
    that commit, and if it fails the log stays shut, since PostgreSQL knows no such generation.

    Returns:
        False if the log is whole: somebody else rebuilt it.

    Raises:
        ThrottleUnavailable: Redis gave no answer, or lost its log during each try.
    """
    for _ in range(TRIES):
        with engine.connect() as connection:  # rolled back at its end, unless committed
            # Waits out every claim under way; those to come wait, and read the new generation.
            db.lock_alone(connection, db.Lock.GENERATION)
            if is_whole(connection, throttle):
                return False
            if _fill(connection, throttle):
                connection.commit()
                return True
    raise ThrottleUnavailable(f"Redis lost the throttle's log again during {TRIES} rebuilds")


def is_whole(connection: Connection, throttle: Throttle) -> bool:
    """Whether the throttle's log is the one that the last rebuild filled.

    Raises:
        ThrottleUnavailable: Redis gave no answer.
    """
    generation: int = connection.execute(GENERATION).scalar_one()
    return throttle.is_whole(generation)


def _fill(connection: Connection, throttle: Throttle) -> bool:
    """Add every permit that may still count; False if the log was lost again meanwhile."""
    nonce = str(uuid.uuid4())
    # PostgreSQL's clock is read first: the time between makes permits count longer, not shorter.
    postgres_now = db.now(connection)
    redis_now_us = throttle.begin_rebuild(nonce)
    # Never the number of an earlier rebuild, not even of one that was rolled back.
    generation = connection.execute(NEXT_GENERATION).scalar_one()
    counted_us = throttle.window_us + throttle.handover_max_us
    attempts = evidence.counting(connection, postgres_now - timedelta(microseconds=counted_us))
    offset_us = redis_now_us - to_us(postgres_now)
    throttle.add_permits(_entries(attempts, offset_us, redis_now_us + throttle.handover_max_us))
    return throttle.end_rebuild(nonce, generation)


def _entries(
    attempts: Iterable[Counting], offset_us: int, latest_us: int
) -> Iterator[tuple[str, str, int]]:
    """What the attempts put into the logs.

    Args:
        attempts: not void.
        offset_us: Redis's clock less PostgreSQL's.
        latest_us: when an attempt that is under way may be answered at the latest.
    """
    for attempt in attempts:
        score_us = latest_us
        if attempt.answered_at is not None:
            score_us = min(to_us(attempt.answered_at) + offset_us, latest_us)
        budgets = budgets_of(
            task_id=attempt.task_id,
            task_limit=0,
            account_id=attempt.account_id,
            account_limit=None,
            domain_limit=None,
            domains=attempt.domains,
        )
        yield from entries(attempt.id, budgets, score_us)
