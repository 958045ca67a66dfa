"""EuroSMS as one process uses one account of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from urllib.parse import quote
from zoneinfo import ZoneInfo

from worker.core.eurosms_answers import (
    GroupAnswer,
    SendAnswer,
    many_unanswered,
    read_send_many,
    read_send_one,
    unanswered,
)
from worker.core.eurosms_codes import Consequence, folded, send_code
from worker.core.replies import readable
from worker.core.sms_reports import NO_SUCH_UUID, Reports, read_reports, read_status_one
from worker.errors import GatewayRefused, GatewayUnavailable, TransportUnavailable
from worker.eurosms import bodies
from worker.eurosms.balance import BAD_INTEGRATION, Balance, read_balance
from worker.eurosms.settings import EuroSmsSettings
from worker.eurosms.sms import Sms
from worker.eurosms.wire import Clock, HttpAnswer, Unanswered, Wire

MOST_SMS = 1000
"""In one request."""

PASSING = frozenset({408, 429})
"""HTTP's refusals of a moment; others below 500 stay until a person mends something."""

_TRXID = re.compile(r"[0-9A-Za-z]{8,64}")


class EuroSms:
    """One account at EuroSMS; for one thread, and made after the fork.

    The connection is opened when it is first needed, and kept for a few seconds.
    """

    def __init__(self, settings: EuroSmsSettings, clock: Clock = time.monotonic) -> None:
        self._settings = settings
        self._wire = Wire(settings, clock)

    def __repr__(self) -> str:
        return f"EuroSms({self._settings!r})"

    def send_one(self, sms: Sms, *, test: bool = False) -> SendAnswer:
        """Hand over one SMS.

        Args:
            sms: the SMS.
            test: have it checked only; nothing is sent or charged, and "unknown" means nothing.

        Returns:
            The gateway's answer; unknown if none came and the SMS may have been handed over.

        Raises:
            TransportUnavailable: it was certainly not handed over.
        """
        try:
            answer = self._wire.ask("POST", _path("one", test), bodies.one(self._settings, sms))
        except Unanswered as lost:
            return unanswered(self._in_doubt(lost))
        return read_send_one(answer.status, answer.content_type, answer.body)

    def send_o2m(self, batch: Sequence[Sms], *, test: bool = False) -> GroupAnswer:
        """Hand over one text to many numbers; otherwise as `send_one`.

        Raises:
            TransportUnavailable: none was handed over.
            ValueError: none, or over 1,000; or they differ in more than number and own key.
        """
        _check_size(batch)
        return self._send_many(_path("o2m", test), bodies.one_to_many(self._settings, batch))

    def send_m2m(self, batch: Sequence[Sms], *, test: bool = False) -> GroupAnswer:
        """Hand over many SMS; otherwise as `send_one`.

        Raises:
            TransportUnavailable: none was handed over.
            ValueError: none, or over 1,000; or one has a validity or a time to send at.
        """
        _check_size(batch)
        return self._send_many(_path("m2m", test), bodies.many_to_many(self._settings, batch))

    def status_any(self, trxid: str) -> Reports:
        """All reports that have come since they were last asked for, once.

        Args:
            trxid: 8 to 64 letters and digits, chosen at random and stored before; asking again
                with the same brings the same reports.

        Raises:
            GatewayUnavailable: no answer, or none that can be read: ask again with this trxid.
            GatewayRefused: it will not say.
            ValueError: not a trxid.
        """
        if not _TRXID.fullmatch(trxid):
            raise ValueError("a trxid has 8 to 64 letters and digits")
        return self._reports(f"any/{self._settings.integration_id}", trxid, read_reports)

    def status_group(self, group_id: str) -> Reports:
        """The reports of one request with many SMS; raises as `status_any`."""
        return self._reports(f"group/{self._settings.integration_id}", group_id, read_reports)

    def status_one(self, uuid: str) -> Reports:
        """The reports of one segment; none if the gateway does not know it, or no longer.

        Raises:
            GatewayUnavailable: no answer, or none that can be read.
            GatewayRefused: it will not say.
        """
        answer = self._get(f"/api/v3/status/one/{quote(uuid, safe='')}")
        reports = read_status_one(answer.body, self._settings.zone)
        if folded(reports.err_code) == NO_SUCH_UUID:
            return reports
        return self._checked(answer, reports)

    def balance(self) -> Balance:
        """What is left to spend.

        Raises:
            GatewayUnavailable: no answer, or none that can be read.
            GatewayRefused: it will not say; "BAD_INT": there is no such integration ID.
        """
        answer = self._get(f"/api/v2/balance?i={self._settings.integration_id}")
        balance = read_balance(answer.body)
        if balance is not None:
            return balance
        if BAD_INTEGRATION.encode() in answer.body:
            raise GatewayRefused(self._settings.name, BAD_INTEGRATION, "no such integration ID")
        raise self._by_status(answer, f"not a balance: {_glimpse(answer)}")

    def close(self) -> None:
        """Close the kept connection, if there is one. Never raises."""
        self._wire.close()

    def _send_many(self, path: str, body: bytes) -> GroupAnswer:
        try:
            answer = self._wire.ask("POST", path, body)
        except Unanswered as lost:
            return many_unanswered(self._in_doubt(lost))
        return read_send_many(answer.status, answer.content_type, answer.body)

    def _in_doubt(self, lost: Unanswered) -> str:
        if not lost.sent:
            raise TransportUnavailable(self._settings.name, lost.text) from None
        return lost.text

    def _reports(
        self, kind: str, signed: str, read: Callable[[bytes, ZoneInfo], Reports]
    ) -> Reports:
        last = f"{quote(signed, safe='')}/{self._settings.sign(signed)}"
        answer = self._get(f"/api/v3/status/{kind}/{last}")
        return self._checked(answer, read(answer.body, self._settings.zone))

    def _checked(self, answer: HttpAnswer, reports: Reports) -> Reports:
        """The reports, if it is certain that there are these and no others."""
        if reports.unreadable:
            raise self._by_status(answer, reports.unreadable)
        fine = folded(reports.err_code) in ("", "OK")
        if reports.reports or (fine and answer.status < 300):
            return reports
        if fine:
            raise self._by_status(answer, _glimpse(answer))
        code = send_code(reports.err_code)
        if code is None or code.consequence in (Consequence.RETRY, Consequence.UNKNOWN):
            raise GatewayUnavailable(self._settings.name, reports.err_code)
        raise GatewayRefused(self._settings.name, reports.err_code, code.meaning)

    def _by_status(self, answer: HttpAnswer, text: str) -> GatewayUnavailable | GatewayRefused:
        if 300 <= answer.status < 500 and answer.status not in PASSING:
            return GatewayRefused(self._settings.name, f"HTTP {answer.status}", text)
        return GatewayUnavailable(self._settings.name, f"HTTP {answer.status}, {text}")

    def _get(self, path: str) -> HttpAnswer:
        try:
            return self._wire.ask("GET", path)
        except Unanswered as lost:
            raise GatewayUnavailable(self._settings.name, lost.text) from None


def _path(kind: str, test: bool) -> str:
    return f"/api/v3/{'test' if test else 'send'}/{kind}"


def _check_size(batch: Sequence[Sms]) -> None:
    if not 1 <= len(batch) <= MOST_SMS:
        raise ValueError(f"one request takes 1 to {MOST_SMS} SMS, not {len(batch)}")


def _glimpse(answer: HttpAnswer) -> str:
    return readable(answer.body[:200].decode("utf-8", "replace"))
