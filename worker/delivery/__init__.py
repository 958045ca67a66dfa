"""Sending one message: connection, claim, permit, hand-over, settle, confirm, in this order.

`docs/architecture.md` lists what a crash at each arrow leaves behind, and who mends it. SMS go the
same way (`worker/delivery/sms.py`).
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, Engine, Row

from models.states import Channel
from settings import Settings
from worker import tracing
from worker.accounts import OF_CONNECTION, smtp_settings
from worker.core.content import ContentError
from worker.core.outcomes import Outcome
from worker.crashpoints import CrashPoint, reach
from worker.delivery.kept import Kept
from worker.delivery.letters import Addressed, address, answer_of
from worker.delivery.sender import Sender
from worker.delivery.steps import Step, measured, taking
from worker.errors import TransportUnavailable
from worker.measures import CONNECTIONS, SMTP_SECONDS
from worker.outbox import bodies, breakers, claims, leases
from worker.outbox.bodies import StoredBody
from worker.outbox.claims import Claim
from worker.throttle import Asking, Throttle
from worker.transports import Reply
from worker.transports.smtp import SmtpTransport
from worker.vault import Vault, VaultError

log = structlog.get_logger()


class Delivery(Sender):
    """Hands over e-mails for one sending process; not shared between threads.

    Args:
        engine: the database.
        throttle: the fleet's.
        vault: opens the passwords of SMTP accounts.
        settings: deadlines and time-outs.
        server: this process's OAC server.
        worker: how this process is called in the evidence.
    """

    channel = Channel.EMAIL

    def __init__(
        self,
        engine: Engine,
        throttle: Throttle,
        vault: Vault,
        settings: Settings,
        server: str,
        worker: str,
    ) -> None:
        super().__init__(engine, throttle, settings, server, worker)
        self._transports = Kept(
            lambda account: SmtpTransport(
                smtp_settings(account, vault, engine, settings.answer_timeout_seconds),
                observe=lambda phase, seconds: SMTP_SECONDS.observe(
                    seconds, account=account.id, phase=str(phase)
                ),
            ),
            OF_CONNECTION,
        )
        self._body: tuple[int, StoredBody] | None = None

    def close(self) -> None:
        """Close the kept connections."""
        self._transports.close()

    def send(self, message_id: int, token: UUID) -> None:
        """Send a released message, if it is still ours to send.

        Whatever goes wrong ends in a state that `docs/architecture.md` names; nothing is
        raised but by a fault of the program.
        """
        account = self.read(lambda c: self._route(c, message_id, token))
        if account is not None:
            with tracing.span("send", account.traceparent, message=message_id):
                self._send_through(account, message_id, token)

    def _send_through(self, account: Row[Any], message_id: int, token: UUID) -> None:
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

    def _route(self, connection: Connection, message_id: int, token: UUID) -> Row[Any] | None:
        silent_after = timedelta(seconds=self._settings.silent_after_seconds)
        account = claims.route(connection, message_id, token, silent_after)
        if account is not None and account.breaker_open:
            leases.give_back(connection, message_id, token, "its SMTP account refuses us")
            return None
        return account

    @measured(Step.CONNECT)
    def _connected(self, account: Row[Any], message_id: int, token: UUID) -> SmtpTransport | None:
        try:
            transport = self._transports.of(account)
            transport.ready()
        except (TransportUnavailable, VaultError) as error:
            self.give_back(message_id, token, str(error))
            self.trip(account.id, str(error), getattr(error, "retry_after", None))
            return None
        CONNECTIONS.add(account=account.id, how="opened" if transport.fresh else "reused")
        return transport

    def _send_over(
        self, transport: SmtpTransport, account: Row[Any], message_id: int, token: UUID
    ) -> None:
        dot_by = time.monotonic() + self._settings.dot_by_seconds
        claim = self.claimed(message_id, token, lambda c: self.claim(c, message_id, token))
        if claim is None:
            return
        reach(CrashPoint.CLAIMED)
        if claim.account_id != account.id:
            self.undo(claim, None, "its automatic task got another SMTP account meanwhile")
            return
        try:
            addressed = address(claim, self._body_of(claim))
        except ValueError as error:  # ContentError, and what an envelope or a letter refuses
            self.fail(claim, str(error))
            return
        asking = self.permit(claim)
        if asking is None:
            return
        reach(CrashPoint.PERMITTED)
        try:
            with taking(self.channel, Step.HAND_OVER):
                reply = transport.send(addressed.envelope, dot_by)
        except TransportUnavailable as error:
            self.undo(claim, asking, str(error))
            self.trip(account.id, str(error), error.retry_after)
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
            self.fail(claim, reply.text)
            self._permits.refund(asking)
        else:
            self.undo(claim, asking, reply.text)

    def _body_of(self, claim: Claim) -> StoredBody:
        body_id = claim.row.body_id
        if body_id is None:
            raise ContentError(
                "was dropped after the set time", "the body", "enqueue the message again"
            )
        if self._body is None or self._body[0] != body_id:
            self._body = None  # so that two large ones are never held at once
            self._body = body_id, self.persist(lambda c: bodies.read_body(c, body_id))
        return self._body[1]

    def _settle(self, claim: Claim, addressed: Addressed, reply: Reply, answered_at: float) -> None:
        state = self.settle(claim, answer_of(addressed, reply), answered_at)
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
            self.trip(account.id, reply.text)
        elif reply.outcome is Outcome.UNKNOWN:
            self.heed_silence(account.id)
        elif account.breaker_failures and reply.code is not None:  # it talks with us again
            self.persist(lambda c: breakers.reset(c, account.id))
