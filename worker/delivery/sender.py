"""What sending a message takes over whatever channel: claim, permit, and what must be written."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from models.states import Channel
from settings import Settings
from worker import db, tracing
from worker.delivery.patience import is_away, persist
from worker.delivery.permits import Permits
from worker.delivery.steps import Step, measured
from worker.measures import HAND_OVERS
from worker.outbox import breakers, claims, leases, settling
from worker.outbox.answers import Answer
from worker.outbox.claims import Claim
from worker.throttle import Asking, Throttle

log = structlog.get_logger()
T = TypeVar("T")


class Sender:
    """What hands messages over for one sending process; not shared between threads.

    Args:
        engine: the database.
        throttle: the fleet's.
        settings: deadlines and time-outs.
        server: this process's OAC server.
        worker: how this process is called in the evidence.

    Attributes:
        channel: over which it sends.
    """

    channel: Channel

    def __init__(
        self, engine: Engine, throttle: Throttle, settings: Settings, server: str, worker: str
    ) -> None:
        self._engine = engine
        self._permits = Permits(throttle, settings.burst_us)
        self._settings = settings
        self._server = server
        self._worker = worker

    def read(self, find: Callable[[Connection], T | None]) -> T | None:
        """Look a released message up; None also while the database is away.

        It is released still then, and `recover` brings it back.
        """
        try:
            with db.transaction(self._engine) as connection:
                return find(connection)
        except DBAPIError as error:
            if not is_away(error):
                raise
            log.warning("the database is away", error=type(error).__name__)
            return None

    def claim(self, connection: Connection, message_id: int, token: UUID) -> Claim | None:
        """Take a released message for sending; commit before the hand-over."""
        return claims.claim(
            connection,
            message_id,
            token,
            server=self._server,
            worker=self._worker,
            deadline=timedelta(seconds=self._settings.sending_deadline_seconds),
        )

    @measured(Step.CLAIM)
    def claimed(
        self, message_id: int, token: UUID, take: Callable[[Connection], T | None]
    ) -> T | None:
        """Commit a claim; None if it is not ours, may not go now, or the database is away."""
        try:
            with db.transaction(self._engine) as connection:
                return take(connection)
        except DBAPIError as error:
            if not is_away(error):
                raise
            # The COMMIT may have gone through: whichever way, nothing was handed over.
            why = "the database was away at the claim"
            self.persist(lambda c: settling.undo_in_doubt(c, message_id, token, self._worker, why))
            return None

    def give_back(self, message_id: int, token: UUID, why: str) -> None:
        """Put a message back that was not claimed."""
        self.persist(lambda c: leases.give_back(c, message_id, token, why))

    @measured(Step.PERMIT)
    def permit(self, claim: Claim) -> Asking | None:
        """Ask for the permit of a claim; without one the claim is undone, and None returned."""
        asking = self._permits.asking(claim)
        obstacle = self._permits.ask(asking)
        if obstacle is not None:
            self.undo(claim, asking, obstacle)
            return None
        return asking

    def undo(self, claim: Claim, asking: Asking | None, why: str) -> None:
        """Nothing was handed over: as if it had not been claimed."""
        self.persist(lambda c: settling.undo(c, claim.message_id, claim.attempt, why))
        if asking is not None:
            self._permits.refund(asking)
        log.info("given back", message=claim.message_id, why=why)

    def fail(self, claim: Claim, why: str) -> None:
        """The message can never be sent like this, and nobody was asked to take it."""
        self.persist(lambda c: settling.fail(c, claim.message_id, claim.attempt, why))
        log.warning("cannot be sent", message=claim.message_id, why=why)

    @measured(Step.SETTLE)
    def settle(self, claim: Claim, answer: Answer, answered_at: float) -> str | None:
        """Write what the far side made of a hand-over; returns the message's new state.

        Args:
            claim: the message's.
            answer: the far side's.
            answered_at: when it came, monotonic.
        """
        jitter = random.random()  # noqa: S311  spreads retries, guards nothing

        def write(connection: Connection) -> str | None:
            ago = timedelta(seconds=time.monotonic() - answered_at)
            return settling.settle(connection, claim.attempt, answer, jitter, ago)

        state = self.persist(write)
        outcome = answer.outcome.value
        HAND_OVERS.add(account=claim.account_id, channel=self.channel, outcome=outcome)
        tracing.note(task=claim.task_id, account=claim.account_id, outcome=outcome)
        return state

    def trip(self, account_id: int, why: str, asked: float | None = None) -> None:
        """Leave an account alone for a while, and not less than the seconds asked for."""
        jitter = random.random()  # noqa: S311
        wait = self.persist(lambda c: breakers.trip(c, account_id, why, jitter, asked))
        if wait is not None:
            log.warning("account left alone", account=account_id, why=why, wait=str(wait))

    def heed_silence(self, account_id: int) -> None:
        """Leave an account alone that swallows answers, after several unknowns in a row."""
        if self.persist(lambda c: breakers.swallows_answers(c, account_id)):
            self.trip(account_id, "several hand-overs in a row had no answer")

    def persist(self, write: Callable[[Connection], T]) -> T:
        """Commit a change that must not be lost, however long the database is away.

        Once the deadline of the claim is long past, `recover` has taken the message for unknown.
        """
        return persist(self._engine, write, self._settings.sending_deadline_seconds)
