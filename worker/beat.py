"""Beat: Celery's own for the static entries; the tables for sweeps, and polls of the gateway.

Any number may run, and none leads: a due task is taken by compare-and-set, so each sweep is
enqueued by one of them.
"""

from __future__ import annotations

import os
import select
import time
from datetime import timedelta
from typing import Any

import psycopg2.extensions
import structlog
from celery import beat
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from settings.names import INTAKE_QUEUE, Task, eurosms_reports_queue, sweep_queue
from worker import bootstrap, crashpoints, db, stand_ins
from worker.crashpoints import CrashPoint, reach
from worker.measures import BEAT_TICK
from worker.outbox import sms_polls, waking
from worker.outbox.in_charge import IN_CHARGE
from worker.watchdog import watchdog

log = structlog.get_logger()

IDLE_SECONDS = 1.0
"""Chosen: the longest sleep, so that a static entry is never later than that."""
NET_SECONDS = 2.0
"""Chosen: how often idle tasks are looked through for what no notification announced."""
AWAY_SECONDS = 1.0

OPTIONS = {"expires": 3600}
"""Of a poll, as of the static entries: while no process takes them, they would pile up."""

CHANNELS = ("kadencia_ready", "kadencia_urgent", "kadencia_task", "kadencia_intake")

INTAKE_SECONDS = 0.02
"""Chosen: what is handed in meanwhile is taken in by one task."""

# A net for a beat that dies before it has published: another takes the task again after 10 s.
TAKE_DUE = text(f"""
    UPDATE automatic_task t
    SET sweep_no = t.sweep_no + 1, next_run_at = clock_timestamp() + interval '10 seconds'
    FROM (
        SELECT t.id, s.name FROM automatic_task t
        JOIN server s ON s.id = {IN_CHARGE} CROSS JOIN installation i
        WHERE t.active AND t.next_run_at <= clock_timestamp() AND NOT s.paused
          AND i.stopped_at IS NULL
          AND EXISTS (SELECT FROM process p WHERE p.server_id = s.id
                      AND CASE t.channel WHEN 'sms' THEN p.sms_slots ELSE p.slots END > 0
                      AND p.beat_at > clock_timestamp() - CAST(:silent_after AS interval))
        FOR UPDATE OF t SKIP LOCKED) AS due
    WHERE t.id = due.id
    RETURNING t.id, t.sweep_no, t.next_run_at, due.name AS server
""")  # noqa: S608  no value of anybody's is in it

# A net for a sweep that is lost: a sweep itself sets the true next time, and may have done so.
PUBLISHED = text("""
    UPDATE automatic_task SET next_run_at = clock_timestamp() + interval '30 seconds'
    WHERE id IN (
        SELECT t.id FROM automatic_task t
        JOIN unnest(CAST(:ids AS bigint[]), CAST(:until AS timestamptz[])) AS taken(id, until)
            ON t.id = taken.id AND t.next_run_at = taken.until
        FOR UPDATE OF t SKIP LOCKED)
""")

NEXT_DUE = text("""
    SELECT least(min(next_run_at) - clock_timestamp(), interval '1 hour')
    FROM automatic_task WHERE active AND next_run_at > clock_timestamp()
""")

# For the metrics, which tell how long no beat has run. A rebuild that holds the row goes on.
NOTE_TICK = text("""
    UPDATE installation SET beat_at = clock_timestamp() WHERE id IN (
        SELECT id FROM installation
        WHERE (beat_at < clock_timestamp() - CAST(:pause AS interval)) IS NOT FALSE
        FOR UPDATE SKIP LOCKED)
""")

# What could not be published is due again at once, unless somebody took it meanwhile.
UNTAKE = text("""
    UPDATE automatic_task SET next_run_at = clock_timestamp()
    WHERE id = :id AND sweep_no = :sweep_no
""")


class Scheduler(beat.Scheduler):
    """Celery's in-memory scheduler, which between its entries looks after the sweeps."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = bootstrap.read_settings(os.environ)
        crashpoints.arm(settings.crash_directory)
        self._silent_after = timedelta(seconds=settings.silent_after_seconds)
        self._engine: Engine = bootstrap.make_engine(settings, "beat", direct=True)
        self._alive = watchdog(os.environ.get("NOTIFY_SOCKET"), settings.alive_file)
        self._listener: Any = None
        self._net_at = 0.0
        self._intake_at = 0.0
        self._intake_waits = False

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Run what is due of both, then wait for a notification or the next due moment.

        Returns:
            How long Celery's loop is to sleep in addition: 0.
        """
        self._alive()
        BEAT_TICK.set(time.time())
        seconds = min(super().tick(*args, **kwargs) or 0.0, IDLE_SECONDS)
        try:
            self._listen()
            self._hear()
            looks = time.monotonic() >= self._net_at
            if looks:
                stand_ins.look_after(self._engine, self._silent_after)
            with db.transaction(self._engine) as connection:
                if looks:
                    waking.wake_idle(connection)
                    connection.execute(NOTE_TICK, {"pause": timedelta(seconds=NET_SECONDS)})
                    self._net_at = time.monotonic() + NET_SECONDS
                due = connection.execute(TAKE_DUE, {"silent_after": self._silent_after}).all()
                polls = sms_polls.due(connection, self._silent_after)
                ahead = self._until_next(connection)
            if due:
                reach(CrashPoint.BEAT_TAKEN)
            published = self._publish(due), self._publish_polls(polls), self._publish_take_in()
            if not all(published):
                ahead = AWAY_SECONDS
            select.select([self._listener], [], [], max(min(seconds, ahead), 0.0))
        except (SQLAlchemyError, psycopg2.Error, OSError) as error:
            log.warning("the database is away", error=type(error).__name__)
            self._deafen()
            time.sleep(AWAY_SECONDS)
        return 0.0

    def close(self) -> None:
        """End both connections to the database, and what Celery holds."""
        self._deafen()
        self._engine.dispose()
        super().close()

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Enqueue a static entry; one that cannot be is skipped, and the next comes soon."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:  # whatever the broker's client raises
            log.warning("Redis is away", entry=entry.name, error=type(error).__name__)

    def _until_next(self, connection: Connection) -> float:
        sweep: timedelta = connection.execute(NEXT_DUE).scalar_one()
        ahead = min(sweep, sms_polls.until_next(connection)).total_seconds()
        return min(ahead, INTAKE_SECONDS) if self._intake_waits else ahead

    def _publish(self, due: Any) -> bool:
        for number, row in enumerate(due):
            try:
                self.app.send_task(
                    Task.SWEEP, args=[row.id, row.sweep_no], queue=sweep_queue(row.server)
                )
            except Exception as error:
                # Whatever the broker's client raises: none of these sweeps is lost.
                log.warning("Redis is away", error=type(error).__name__)
                with db.transaction(self._engine) as connection:
                    for lost in due[number:]:
                        connection.execute(UNTAKE, {"id": lost.id, "sweep_no": lost.sweep_no})
                return False
        if due:
            taken = {"ids": [row.id for row in due], "until": [row.next_run_at for row in due]}
            with db.transaction(self._engine) as connection:
                connection.execute(PUBLISHED, taken)
        return True

    def _publish_polls(self, due: Any) -> bool:
        for number, row in enumerate(due):
            queue = eurosms_reports_queue(row.server)
            try:
                self.app.send_task(Task.POLL_REPORTS, args=[row.poll_id], queue=queue, **OPTIONS)
            except Exception as error:
                log.warning("Redis is away", error=type(error).__name__)
                with db.transaction(self._engine) as connection:
                    sms_polls.untake(connection, [lost.poll_id for lost in due[number:]])
                return False
        return True

    def _publish_take_in(self) -> bool:
        if not self._intake_waits or time.monotonic() < self._intake_at:
            return True
        try:
            self.app.send_task(Task.TAKE_IN, queue=INTAKE_QUEUE, **OPTIONS)
        except Exception as error:
            log.warning("Redis is away", error=type(error).__name__)
            return False
        self._intake_waits = False
        self._intake_at = time.monotonic() + INTAKE_SECONDS
        return True

    def _listen(self) -> None:
        if self._listener is not None:
            return
        # A connection of its own, outside any transaction, or nothing would arrive.
        pooled = self._engine.raw_connection()
        listener: Any = pooled.driver_connection
        pooled.detach()
        listener.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
        with listener.cursor() as cursor:
            for channel in CHANNELS:
                cursor.execute(f"LISTEN {channel}")
        self._listener = listener
        self._net_at = 0.0  # what was said meanwhile, nobody heard
        self._intake_waits = True

    def _hear(self) -> None:
        self._listener.poll()
        # Anybody may notify; what is no number is not from us.
        said = {(n.channel, n.payload) for n in self._listener.notifies if n.payload.isdecimal()}
        self._listener.notifies.clear()
        if any(channel == "kadencia_intake" for channel, _ in said):
            self._intake_waits = True
        lanes = sorted(int(n) for channel, n in said if channel == "kadencia_ready")
        urgent = sorted(int(n) for channel, n in said if channel == "kadencia_urgent")
        if lanes or urgent:
            with db.transaction(self._engine) as connection:
                waking.wake_for(connection, lanes, urgent)

    def _deafen(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
