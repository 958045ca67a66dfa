"""A sweep: one run of an automatic task, which releases what may go now."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, text
from sqlalchemy.exc import DBAPIError

from models.states import Channel, Waits
from settings import Settings
from settings.names import Task, eurosms_first_queue, eurosms_queue, first_queue, send_queue
from worker import db, tracing
from worker.core import agenda, breaker
from worker.core.agenda import Limits, Used
from worker.core.pace import pace_of
from worker.core.plan import make_plan, next_start, open_until
from worker.core.slots import Bound
from worker.crashpoints import CrashPoint, reach
from worker.measures import RELEASED, SWEEP_SECONDS
from worker.outbox import backlog, journal, leases
from worker.outbox.leases import Lease
from worker.rebuild import rebuild
from worker.sweeps.picking import Picker
from worker.sweeps.through import through
from worker.throttle import LogLost, Look, Throttle, ThrottleUnavailable

log = structlog.get_logger()

LOCK_WAIT = text("SET LOCAL lock_timeout = '5s'")
REDIS_AWAY = timedelta(seconds=5)
"""Chosen: how soon a sweep that got no answer from Redis is tried again."""
DATABASE_AWAY_SECONDS = 15.0
"""Chosen: a restart of the database is over by then."""
PAUSE_SECONDS = 0.5
DISABLED = timedelta(seconds=30)
"""Chosen: a task is woken when its account is enabled; this is the net."""

WAITS = {
    Bound.WORK: Waits.WORK,
    Bound.DOMAIN: Waits.DOMAIN,
    Bound.SIZE: Waits.DOMAIN,
    Bound.CONNECTION: Waits.CONNECTION,
}
"""What the others wait for is a slot."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    leases: Sequence[Lease]
    why: str
    waits: Waits
    next_run_at: datetime | None


class Sweeper:
    """Sweeps the automatic tasks of one OAC server.

    Args:
        engine: the database.
        throttle: the fleet's.
        settings: window, burst, quantum and deadlines.
        server: this process's OAC server.
        publish: Celery's `send_task`.
    """

    def __init__(
        self,
        engine: Engine,
        throttle: Throttle,
        settings: Settings,
        server: str,
        publish: Callable[..., Any],
    ) -> None:
        self._engine = engine
        self._throttle = throttle
        self._settings = settings
        self._server = server
        self._publish = publish

    def sweep(self, task_id: int, sweep_no: int) -> int:
        """Release what an automatic task may send now, and publish it.

        A sweep that is stale, or is not this server's, changes nothing. A crash after the
        commit costs the released messages their deadline, nothing else. So does an answer to
        the commit that is lost.

        Returns:
            How many messages were released and published.
        """
        with SWEEP_SECONDS.timing(task=task_id):
            leased = self._patiently(task_id, sweep_no)
        RELEASED.add(len(leased), task=task_id)
        reach(CrashPoint.SWEEP_LEASED)
        for number, lease in enumerate(leased):
            if number == len(leased) // 2:
                reach(CrashPoint.SWEEP_HALF_PUBLISHED)
            try:
                with tracing.span("release", lease.traceparent, message=lease.message_id):
                    self._publish_one(lease)
            except Exception as error:
                # Whatever the broker's client raises: these need not wait for their deadline.
                log.warning("Redis is away", error=type(error).__name__)
                self._give_back(leased[number:])
                return number
        return len(leased)

    def _patiently(self, task_id: int, sweep_no: int) -> Sequence[Lease]:
        """Release, once more if the database went away meanwhile: beat's net is 30 s away."""
        give_up = time.monotonic() + DATABASE_AWAY_SECONDS
        while True:
            try:
                return self._release_or_rebuild(task_id, sweep_no)
            except DBAPIError as error:
                if not db.is_gone(error) or time.monotonic() > give_up:
                    raise
                log.warning("the database is away", error=type(error).__name__)
                time.sleep(PAUSE_SECONDS)

    def _release_or_rebuild(self, task_id: int, sweep_no: int) -> Sequence[Lease]:
        try:
            return self._release(task_id, sweep_no, first=True)
        except LogLost:
            self._rebuild()
            return self._release(task_id, sweep_no, first=False)

    def _publish_one(self, lease: Lease) -> None:
        args = [lease.message_id, str(lease.token)]
        if lease.channel is Channel.SMS:
            queue = eurosms_first_queue if lease.transactional else eurosms_queue
            self._publish(Task.SEND_SMS, args=args, queue=queue(self._server))
        else:
            queue = first_queue if lease.transactional else send_queue
            self._publish(Task.SEND, args=args, queue=queue(self._server))

    def _give_back(self, unpublished: Sequence[Lease]) -> None:
        """One that was published in spite of the error finds its lease gone, and ends."""
        why = "Redis was away when it was to be handed to a worker"
        with db.transaction(self._engine) as connection:
            for lease in unpublished:
                leases.give_back(connection, lease.message_id, lease.token, why)

    def _rebuild(self) -> None:
        try:
            rebuild(self._engine, self._throttle)
        except ThrottleUnavailable as error:
            log.warning("the throttle's log was not rebuilt", error=str(error))

    def _release(self, task_id: int, sweep_no: int, *, first: bool) -> Sequence[Lease]:
        with db.transaction(self._engine) as connection:
            # Waiting, not trying: a sweep that gave way to a stale one would be lost.
            connection.execute(LOCK_WAIT)
            db.lock_alone(connection, db.Lock.SWEEP, task_id)
            task = journal.swept(connection, task_id)
            if task is None or task.sweep_no != sweep_no or not self._ours(task):
                return ()
            silent_after = timedelta(seconds=self._settings.silent_after_seconds)
            task, aside = through(connection, task, silent_after)
            # Tasks that share an account share its connections and its limits.
            db.lock_alone(connection, db.Lock.ACCOUNT, task.account_id)
            try:
                with connection.begin_nested():
                    done = self._plan(connection, task)
            except ThrottleUnavailable as error:
                if first and isinstance(error, LogLost):
                    raise
                done = _Outcome((), str(error), Waits.SLOT, task.now + REDIS_AWAY)
            why = done.why if aside is None else f"{done.why}; {aside}"
            journal.note(connection, task_id, len(done.leases), why)
            journal.set_next(connection, task_id, sweep_no, done.next_run_at, done.waits, task.now)
        log.info("swept", task=task_id, released=len(done.leases), why=why, next=done.next_run_at)
        return done.leases

    def _ours(self, task: Row[Any]) -> bool:
        runs = task.active and not task.paused and task.stopped_at is None
        return bool(runs and task.server == self._server)

    def _plan(self, connection: Connection, task: Row[Any]) -> _Outcome:
        plan = make_plan(task.plan_days, task.plan_from, task.plan_until, task.time_zone)
        if open_until(plan, task.now) is None and plan is not None:
            start = next_start(plan, task.now)
            return _Outcome((), Bound.PLAN.value, Waits.PLAN, start)
        if not task.enabled:
            return _Outcome((), "the account is disabled", Waits.SLOT, task.now + DISABLED)
        if task.exhausted_until is not None and task.exhausted_until > task.now:
            return _Outcome((), Bound.BUDGET.value, Waits.SLOT, task.exhausted_until)
        connections = breaker.connections(
            task.most_connections, task.breaker_failures, task.breaker_until, task.now
        )
        if connections < 1:
            return _Outcome((), Bound.BREAKER.value, Waits.SLOT, task.breaker_until)
        return self._fill(connection, task, self._look(task), connections)

    def _look(self, task: Row[Any]) -> Look:
        return self._throttle.look(
            task_id=task.id,
            account_id=task.account_id,
            domain_limit=task.domain_hourly_limit,
            generation=task.generation,
        )

    def _fill(
        self, connection: Connection, task: Row[Any], look: Look, connections: int
    ) -> _Outcome:
        limits = self._limits(task)
        silent_after = timedelta(seconds=self._settings.silent_after_seconds)
        picker = Picker(connection, self._throttle, task, limits, look, connections, silent_after)
        leased, bound, cost = picker.pick(
            timedelta(seconds=self._settings.released_deadline_seconds)
        )
        due = backlog.next_due(connection, picker.lanes)
        next_run_at = self._next(task, bound, limits, picker.used, cost, due)
        return _Outcome(leased, bound.value, WAITS.get(bound, Waits.SLOT), next_run_at)

    def _limits(self, task: Row[Any]) -> Limits:
        settings = self._settings
        window_us = self._throttle.window_us
        return Limits(
            cadence=task.cadence,
            reserve=task.reserve,
            account=task.hourly_limit,
            domain=task.domain_hourly_limit,
            pace=pace_of(task.cadence, window_us, settings.burst_us),
            window_us=window_us,
        )

    def _next(
        self,
        task: Row[Any],
        bound: Bound,
        limits: Limits,
        used: Used,
        released: int,
        due: datetime | None,
    ) -> datetime | None:
        if bound is Bound.WORK:
            return due
        wait_us = agenda.wait_us(bound, limits, used, released, self._settings.quantum_us)
        at: datetime = task.now + timedelta(microseconds=wait_us)
        return min(at, due) if due is not None and bound is Bound.DOMAIN else at
