"""Sending one SMS: claim, permit, POST, settle, confirm, in this order, as an e-mail goes.

`docs/architecture.md` lists what a crash at each arrow leaves behind, and who mends it.
"""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, Engine, Row

from models.states import Channel
from settings import Settings
from worker import tracing
from worker.core.content import ContentError
from worker.core.eurosms_answers import SendAnswer
from worker.core.eurosms_codes import Consequence
from worker.core.outcomes import Outcome
from worker.crashpoints import CrashPoint, reach
from worker.delivery.kept import Kept
from worker.delivery.sender import Sender
from worker.delivery.steps import Step, taking
from worker.errors import TransportUnavailable
from worker.eurosms import EuroSms, Sms, flags_of
from worker.eurosms_accounts import eurosms_settings
from worker.measures import GATEWAY_SECONDS
from worker.outbox import breakers, leases, settling, sms_claims
from worker.outbox.answers import Answer, RecipientAnswer
from worker.outbox.claims import Claim
from worker.outbox.sms_claims import SmsContent
from worker.throttle import Throttle
from worker.vault import Vault, VaultError

log = structlog.get_logger()

OF_CLIENT = (
    "base_url",
    "integration_id",
    "key",
    "digest",
    "time_zone",
    "verify",
    "ca_file",
    "connect_timeout",
    "answer_timeout",
)
"""Columns of an account on which a client depends."""

UNCHARGED = frozenset({Consequence.PAUSE, Consequence.SLOW_DOWN})
"""What concerns the whole account does not use up an SMS's attempts."""


class SmsDelivery(Sender):
    """Hands over SMS for one sending process; not shared between threads.

    Args:
        engine: the database.
        throttle: the fleet's.
        vault: opens the keys of accounts.
        settings: deadlines and time-outs.
        server: this process's OAC server.
        worker: how this process is called in the evidence.
    """

    channel = Channel.SMS

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
        self._gateways = Kept(lambda account: EuroSms(eurosms_settings(account, vault)), OF_CLIENT)

    def close(self) -> None:
        """Close the kept connections."""
        self._gateways.close()

    def send(self, message_id: int, token: UUID) -> None:
        """Send a released SMS, if it is still ours to send.

        Whatever goes wrong ends in a state that `docs/architecture.md` names; nothing is
        raised but by a fault of the program.
        """
        account = self.read(lambda c: self._route(c, message_id, token))
        if account is not None:
            with tracing.span("send", account.traceparent, message=message_id):
                self._send_through(account, message_id, token)

    def _send_through(self, account: Row[Any], message_id: int, token: UUID) -> None:
        try:
            gateway = self._gateways.of(account)
        except VaultError as error:
            self.give_back(message_id, token, str(error))
            self.trip(account.id, str(error))
            return
        self._send_to(gateway, account, message_id, token)

    def _route(self, connection: Connection, message_id: int, token: UUID) -> Row[Any] | None:
        account = sms_claims.route(connection, message_id, token)
        if account is not None and account.breaker_open:
            leases.give_back(connection, message_id, token, "the gateway refuses us")
            return None
        return account

    def _send_to(self, gateway: EuroSms, account: Row[Any], message_id: int, token: UUID) -> None:
        post_by = time.monotonic() + self._settings.dot_by_seconds
        taken = self.claimed(message_id, token, lambda c: self._take(c, message_id, token))
        if taken is None:
            return
        reach(CrashPoint.CLAIMED)
        claim, content = taken
        if claim.account_id != account.id:
            self.undo(claim, None, "its automatic task got another account meanwhile")
            return
        try:
            sms = written(claim, content)
        except ValueError as error:  # what the wire cannot carry
            self.fail(claim, str(error))
            return
        asking = self.permit(claim)
        if asking is None:
            return
        reach(CrashPoint.PERMITTED)
        if time.monotonic() > post_by:
            self.undo(claim, asking, "the time for its hand-over was over before it began")
            return
        try:
            with taking(self.channel, Step.HAND_OVER), GATEWAY_SECONDS.timing(account=account.id):
                answer = gateway.send_one(sms)
        except TransportUnavailable as error:
            self.undo(claim, asking, str(error))
            self.trip(account.id, str(error))
            return
        answered_at = time.monotonic()
        reach(CrashPoint.ANSWERED)
        self._settle(claim, content, answer, answered_at)
        reach(CrashPoint.SETTLED)
        if answer.outcome is not Outcome.UNKNOWN:  # else it keeps its late time
            self._permits.confirm(asking)
        self._heed(account, answer)

    def _take(
        self, connection: Connection, message_id: int, token: UUID
    ) -> tuple[Claim, SmsContent] | None:
        claim = self.claim(connection, message_id, token)
        if claim is None:
            return None
        try:
            content = sms_claims.take(connection, claim)
        except ContentError as error:
            settling.fail(connection, claim.message_id, claim.attempt, str(error))
            log.warning("cannot be sent", message=message_id, why=str(error))
            return None
        return None if content is None else (claim, content)

    def _settle(
        self, claim: Claim, content: SmsContent, answer: SendAnswer, answered_at: float
    ) -> None:
        """Write the answer; what stops the whole task is written first.

        Else a sweep could release the SMS again between the two.
        """
        uncharged = answer.consequence in UNCHARGED or foreign_sender(content, answer)
        if uncharged and answer.consequence is not Consequence.SLOW_DOWN:
            paused = self.persist(
                lambda c: breakers.pause_tasks(c, claim.account_id, pause_reason(answer))
            )
            log.error("automatic tasks paused", tasks=paused, why=words_of(answer))
        state = self.settle(claim, answer_of(claim, answer, charged=not uncharged), answered_at)
        log.info(
            "handed over",
            message=claim.message_id,
            outcome=answer.outcome.value,
            state=state,
            code=answer.code,
        )

    def _heed(self, account: Row[Any], answer: SendAnswer) -> None:
        """Slow the account down, or let it go again, as its answer says."""
        if answer.consequence is Consequence.SLOW_DOWN:
            self.trip(account.id, words_of(answer))
        elif answer.outcome is Outcome.UNKNOWN:
            self.heed_silence(account.id)
        elif account.breaker_failures:  # it talks with us again
            self.persist(lambda c: breakers.reset(c, account.id))


def written(claim: Claim, content: SmsContent) -> Sms:
    """An SMS as the gateway takes it."""
    return Sms(
        number=claim.envelope[0].address.removeprefix("+"),
        own_key=claim.row.message_id,
        sender=content.sender,
        text=content.text,
        flags=flags_of(
            long=content.long,
            diacritics=content.diacritics,
            high_priority=content.high_priority,
            low_priority=claim.bulk and not content.high_priority,
        ),
        ttl=int(content.validity.total_seconds()),
    )


def foreign_sender(content: SmsContent, answer: SendAnswer) -> bool:
    """Whether the gateway refuses the task's own sender: then no SMS of the task will pass."""
    return answer.consequence is Consequence.SENDER and content.default_sender


def answer_of(claim: Claim, answer: SendAnswer, *, charged: bool) -> Answer:
    """What a POST made of the message's recipient."""
    words = words_of(answer)
    # What stops the whole task is no word on this SMS.
    outcome = answer.outcome if charged else Outcome.DEFERRED
    return Answer(
        outcome=outcome,
        recipients=tuple(RecipientAnswer(one.position, outcome, words) for one in claim.envelope),
        charged=charged,
        phase="post",
        text=words,
        uuids=answer.uuids,
    )


def pause_reason(answer: SendAnswer) -> str:
    """Why tasks are paused, and what a person is to do."""
    mend = "top the account up" if answer.code.strip().upper() == "NO_BALANCE" else "mend it"
    return f"EuroSMS refuses all SMS ({words_of(answer)}); {mend}, then resume the task"


def words_of(answer: SendAnswer) -> str:
    """The gateway's code and its description."""
    return f"{answer.code}: {answer.text}" if answer.code else answer.text
