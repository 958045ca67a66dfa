"""Writing to a database that may be away: what was learnt from the far side must not be lost."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from worker import db
from worker.measures import DATABASE_WAITS

log = structlog.get_logger()
T = TypeVar("T")

LONGEST_PAUSE_SECONDS = 5.0
"""Chosen: how late an answer may be written after the database's return."""


def is_away(error: DBAPIError) -> bool:
    """Whether trying again may help: anything but a fault of the statement or its values.

    A server that ends or turns into a standby speaks in many tongues, a lost connection in none.
    """
    return not isinstance(error, DataError | IntegrityError | ProgrammingError)


def persist(engine: Engine, write: Callable[[Connection], T], seconds: float) -> T:
    """Commit a change, however long the database is away.

    Args:
        engine: the database.
        write: may run more than once, also after a commit whose answer was lost.
        seconds: after which it is given up.

    Raises:
        DBAPIError: it was given up, or the change is at fault.
    """
    give_up = time.monotonic() + seconds
    for failures in itertools.count(1):
        try:
            with db.transaction(engine) as connection:
                return write(connection)
        except DBAPIError as error:
            if not is_away(error) or time.monotonic() > give_up:
                raise
            log.warning("the database is away", error=type(error).__name__)
            DATABASE_WAITS.add()
            # 30 doublings are beyond any pause, and a float holds them.
            time.sleep(min(0.1 * 2 ** min(failures, 30), LONGEST_PAUSE_SECONDS))
    raise AssertionError("unreachable")
