"""One planted clock for PostgreSQL, each Redis and the processes; it stands unless moved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import redis
from sqlalchemy import Engine, text

from tests.support.permits import PLANTED_CLOCK, REAL_CLOCK, change_script
from worker.throttle import Throttle

SECOND = 1_000_000
NOON = 1_800_000_000 * SECOND
TICK = 1_000
"""What each move of the model takes: no two claims at the same microsecond."""

# PostgreSQL looks for a function along its search path: what stands before pg_catalog hides it.
PLANT = """
CREATE SCHEMA planted;
CREATE TABLE planted.clock (at timestamptz NOT NULL);
INSERT INTO planted.clock VALUES (now());
CREATE FUNCTION planted.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT at FROM planted.clock';
CREATE FUNCTION planted.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT at FROM planted.clock';
DO $$ DECLARE one record; BEGIN
    FOR one IN SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND column_default LIKE '%clock_timestamp()%'
    LOOP
        EXECUTE format('ALTER TABLE public.%I ALTER COLUMN %I
            SET DEFAULT planted.clock_timestamp()', one.table_name, one.column_name);
    END LOOP;
    EXECUTE format('ALTER DATABASE %I SET search_path = planted, pg_catalog, public',
        current_database());
END $$;
"""

TURN = text("UPDATE planted.clock SET at = :at")


class Clock:
    """Time as all of the model's parties see it, in µs since 1970.

    It stands while the product's code runs, so that a run is the same each time.

    Args:
        engine: of the model's own database; its connections are opened afresh.
        masters: clients of each Redis.
    """

    def __init__(self, engine: Engine, masters: Sequence[redis.Redis]) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(PLANT.replace("%", "%%"))
        engine.dispose()
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._masters = masters
        self.now_us = NOON

    def set(self, now_us: int) -> None:
        """Move to a time."""
        self.now_us = now_us
        at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=now_us)
        self._connection.execute(TURN, {"at": at})
        self.plant()

    def plant(self) -> None:
        """Tell each Redis, which may have been emptied."""
        seconds, micros = divmod(self.now_us, SECOND)
        for master in self._masters:
            master.hset("planted clock", mapping={"seconds": seconds, "micros": micros})

    def close(self) -> None:
        """Close the connection that turns PostgreSQL's clock."""
        self._connection.close()

    def pass_by(self, micros: int = TICK) -> None:
        """Let time pass."""
        self.set(self.now_us + micros)

    def monotonic(self) -> float:
        """In place of `time.monotonic`, for the processes."""
        return self.now_us / SECOND

    def sleep(self, seconds: float) -> None:
        """In place of `time.sleep`: a pause between two tries takes no time of the model's."""

    def time(self) -> tuple[int, int]:
        """In place of a Redis client's TIME."""
        return divmod(self.now_us, SECOND)


def follow(throttle: Throttle) -> None:
    """Let each script of a throttle that reads the clock read the planted one."""
    for script in ("acquire", "confirm", "look", "rebuild_begin"):
        change_script(throttle, script, REAL_CLOCK, PLANTED_CLOCK)
