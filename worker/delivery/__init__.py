"""Sending one message: connection, claim, permit, hand-over, settle, confirm, in this order.

`docs/architecture.md` lists what a crash at each arrow leaves behind, and who mends it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import Connection, Engine, Row
from sqlalchemy.exc import DBAPIError

from settings import Settings
from worker import db
from worker.core.content import ContentError
from worker.core.outcomes import Outcome
from worker.crashpoints import CrashPoint, reach
from worker.delivery.accounts import Accounts
from worker.delivery.letters import Addressed, address, answer_of
from worker.delivery.patience import is_away, persist
from worker.delivery.permits import Permits
from worker.errors import TransportUnavailable
from worker.outbox import bodies, breakers, claims, leases, settling
from worker.outbox.bodies import StoredBody
from worker.outbox.claims import Claim
from worker.throttle import Asking, Throttle
from worker.transports import Reply
from worker.transports.smtp import SmtpTransport
from worker.vault import Vault, VaultError

log = structlog.get_logger()
T = TypeVar("T")


class Delivery:
    """Hands over messages for one sending process; not shared between threads.

    Args:
        engine: the database.
        throttle: the fleet's.
        vault: opens the passwords of SMTP accounts.
        settings: deadlines and time-outs.
        server: this process's OAC server.
        worker: how this process is called in the evidence.
    """

    def __init__(
        self,
        engine: Engine,
        throttle: Throttle,
        vault: Vault,
        settings: Settings,
        server: str,
        worker: str,
    ) -> None:
        self._engine = engine
        self._permits = Permits(throttle, settings.burst_us)
        self._settings = settings
        self._server = server
        self._worker = worker
        self._accounts = Accounts(vault, settings.answer_timeout_seconds)
        self._body: tuple[int, StoredBody] | None = None

    def close(self) -> None:
        """Close the kept connections."""
        self._accounts.close()

    def send(self, message_id: int, token: UUID) -> None:
        """Send a released message, if it is still ours to send.

        Whatever goes wrong ends in a state that `docs/architecture.md` names; nothing is
        raised but by a fault of the program.
        """
        account = self._route(message_id, token)
        if account is None:
            return
        transport = self._connected(account, message_id, token)
        if transport is None:
            return
        reach(CrashPoint.CONNECTED)
        try:
            self._send_over(transport, account, message_id, token)
        finally:
            # More processes than connections: what is kept here would be another's.
            if account.slots > account.most_connections:
                transport.close()

    def _route(self, message_id: int, token: UUID) -> Row[Any] | None:
        silent_after = timedelta(seconds=self._settings.silent_after_seconds)
        try:
            with db.transaction(self._engine) as connection:
                account = claims.route(connection, message_id, token, silent_after)
                if account is not None and account.breaker_open:
                    leases.give_back(connection, message_id, token, "its SMTP account refuses us")
                    return None
        except DBAPIError as error:
            if not is_away(error):
                raise
            # It is released still, and `recover` brings it back.
            log.warning("the database is away", error=type(error).__name__)
            return None
        return account

    def _connected(self, account: Row[Any], message_id: int, token: UUID) -> SmtpTransport | None:
        try:
            transport = self._accounts.transport(account)
            transport.ready()
        except (TransportUnavailable, VaultError) as error:
            why = str(error)
            self._persist(lambda c: leases.give_back(c, message_id, token, why))
            self._trip(account.id, why)
            return None
        return transport

    def _send_over(
        self, transport: SmtpTransport, account: Row[Any], message_id: int, token: UUID
    ) -> None:
        dot_by = time.monotonic() + self._settings.dot_by_seconds
        claim = self._claim(message_id, token)
        if claim is None:
            return
        reach(CrashPoint.CLAIMED)
        if claim.account_id != account.id:
            self._undo(claim, None, "its automatic task got another SMTP account meanwhile")
            return
        try:
            addressed = address(claim, self._body_of(claim))
        except ValueError as error:  # ContentError, and what an envelope or a letter refuses
            self._fail(claim, str(error))
            return
        asking = self._permits.asking(claim)
        obstacle = self._permits.ask(asking)
        if obstacle is not None:
            self._undo(claim, asking, obstacle)
            return
        reach(CrashPoint.PERMITTED)
        try:
            reply = transport.send(addressed.envelope, dot_by)
        except TransportUnavailable as error:
            self._undo(claim, asking, str(error))
            self._trip(account.id, str(error))
            return
        answered_at = time.monotonic()
        reach(CrashPoint.ANSWERED)
        if reply.spent:
            self._settle(claim, addressed, reply, answered_at)
            reach(CrashPoint.SETTLED)
            if reply.outcome is not Outcome.UNKNOWN:  # else it keeps its late time
                self._permits.confirm(asking)
        else:
            self._not_spent(claim, asking, reply)
        self._heed(account, reply)

    def _not_spent(self, claim: Claim, asking: Asking, reply: Reply) -> None:
        """The server can never take the mail, or the time for its dot was over before MAIL."""
        if reply.outcome is Outcome.REJECTED:
            self._fail(claim, reply.text)
            self._permits.refund(asking)
        else:
            self._undo(claim, asking, reply.text)

    def _claim(self, message_id: int, token: UUID) -> Claim | None:
        try:
            with db.transaction(self._engine) as connection:
                return claims.claim(
                    connection,
                    message_id,
                    token,
                    server=self._server,
                    worker=self._worker,
                    deadline=timedelta(seconds=self._settings.sending_deadline_seconds),
                )
        except DBAPIError as error:
            if not is_away(error):
                raise
            # The COMMIT may have gone through: whichever way, nothing was handed over.
            why = "the database was away at the claim"
            self._persist(lambda c: settling.undo_in_doubt(c, message_id, token, self._worker, why))
            return None

    def _body_of(self, claim: Claim) -> StoredBody:
        body_id = claim.row.body_id
        if body_id is None:
            raise ContentError(
                "was dropped after the set time", "the body", "enqueue the message again"
            )
        if self._body is None or self._body[0] != body_id:
            self._body = None  # so that two large ones are never held at once
            self._body = body_id, self._persist(lambda c: bodies.read_body(c, body_id))
        return self._body[1]

    def _undo(self, claim: Claim, asking: Asking | None, why: str) -> None:
        """Nothing was handed over and MAIL was not sent: as if it had not been claimed."""
        self._persist(lambda c: settling.undo(c, claim.message_id, claim.attempt, why))
        if asking is not None:
            self._permits.refund(asking)
        log.info("given back", message=claim.message_id, why=why)

    def _fail(self, claim: Claim, why: str) -> None:
        """The message can never be sent like this, and nobody was asked to take it."""
        self._persist(lambda c: settling.fail(c, claim.message_id, claim.attempt, why))
        log.warning("cannot be sent", message=claim.message_id, why=why)

    def _settle(self, claim: Claim, addressed: Addressed, reply: Reply, answered_at: float) -> None:
        answer = answer_of(addressed, reply)
        jitter = random.random()  # noqa: S311  spreads retries, guards nothing

        def write(connection: Connection) -> str | None:
            ago = timedelta(seconds=time.monotonic() - answered_at)
            return settling.settle(connection, claim.attempt, answer, jitter, ago)

        state = self._persist(write)
        log.info(
            "handed over",
            message=claim.message_id,
            outcome=reply.outcome.value,
            state=state,
            phase=reply.phase.value,
            code=reply.code,
        )

    def _heed(self, account: Row[Any], reply: Reply) -> None:
        """Slow the account down, or let it go again, as its answer says."""
        if reply.slow_down:
            self._trip(account.id, reply.text)
        elif reply.outcome is Outcome.UNKNOWN:
            if self._persist(lambda c: breakers.swallows_answers(c, account.id)):
                self._trip(account.id, "several hand-overs in a row had no answer")
        elif account.breaker_failures and reply.code is not None:  # it talks with us again
            self._persist(lambda c: breakers.reset(c, account.id))

    def _trip(self, account_id: int, why: str) -> None:
        jitter = random.random()  # noqa: S311
        wait = self._persist(lambda c: breakers.trip(c, account_id, why, jitter))
        if wait is not None:
            log.warning("account left alone", account=account_id, why=why, wait=str(wait))

    def _persist(self, write: Callable[[Connection], T]) -> T:
        """Commit a change that must not be lost, however long the database is away.

        Once the deadline of the claim is long past, `recover` has taken the message for unknown.
        """
        return persist(self._engine, write, self._settings.sending_deadline_seconds)
