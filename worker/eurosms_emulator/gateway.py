"""What the gateway answers to each request, with its faults."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import Any

from worker.eurosms_emulator.agenda import Agenda
from worker.eurosms_emulator.exchange import HTML, PLAIN, Answer, End, Request, as_json
from worker.eurosms_emulator.faults import Faults, Kind
from worker.eurosms_emulator.ledger import Found, Ledger
from worker.eurosms_emulator.networks import WAITING
from worker.eurosms_emulator.options import Manners
from worker.eurosms_emulator.protocol import refusal, signature_is_right
from worker.eurosms_emulator.pushes import Pushes
from worker.eurosms_emulator.reports import report, status_answer, unknown_answer
from worker.eurosms_emulator.sending import Sending
from worker.eurosms_emulator.sms import Sms
from worker.eurosms_emulator.times import Clock, written

_PAGE = b"<!doctype html><title>EMULATOR</title><h1>Sorry</h1><p>Something is wrong here.\n"
_SENDS = frozenset(f"{way}/{to}" for way in ("send", "test") for to in ("one", "o2m", "m2m"))

_LIES = {
    Kind.ERROR_JSON: as_json({"err_code": "INTERNAL_ERROR", "err_desc": "Internal error"}, 500),
    Kind.ERROR_HTML: Answer(_PAGE, 500, HTML),
    Kind.HTML: Answer(_PAGE, 200, HTML),
    Kind.REDIRECT: Answer(b"", 302, HTML, location="/emulator/elsewhere"),
}


class Gateway:
    """The gateway without its sockets. Safe between threads.

    Attributes:
        faults: what goes wrong.
        ledger: what it knows.
        pushes: what it brings to a receiver.
        requests: how often each thing was asked for.
    """

    def __init__(
        self,
        manners: Manners,
        ledger: Ledger,
        pushes: Pushes,
        faults: Faults,
        agenda: Agenda,
        clock: Clock,
        *,
        quiet: bool,
    ) -> None:
        self.faults = faults
        self.ledger = ledger
        self.pushes = pushes
        self.requests: Counter[str] = Counter()
        self._manners = manners
        self._agenda = agenda
        self._clock = clock
        self._quiet = quiet
        self._counting = Lock()
        self._sending = Sending(manners, ledger, faults, clock, self._accepted)
        self._questions: dict[str, Callable[[Request], Answer]] = {
            "status/one": self._status_one,
            "status/group": self._status_group,
            "status/any": self._status_any,
            "balance": self._balance,
        }

    def respond(self, request: Request) -> Answer:
        """Do what is asked, unless a fault strikes."""
        name, numbers = request.name, request.numbers
        with self._counting:
            self.requests[name] += 1
        if self.faults.strike(Kind.DROP_BEFORE_READING, name, numbers):
            return Answer(end=End.RESET)
        answer = self._carried_out(request)
        slow = self.faults.strike(Kind.SLOW, name, numbers)
        if slow:
            time.sleep(slow.seconds)
        if answer.is_done and (
            self.faults.strike(Kind.DROP_AFTER_ACCEPT, name, numbers)
            or self.faults.strike(Kind.LOST_ANSWER, name, numbers)
        ):
            return Answer(end=End.CLOSED)
        if self.faults.strike(Kind.TRUNCATED, name, numbers):
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        if self.faults.strike(Kind.CUT_OFF, name, numbers):
            return replace(answer, end=End.CUT)
        return answer

    def _carried_out(self, request: Request) -> Answer:
        for kind, lie in _LIES.items():
            fault = self.faults.strike(kind, request.name, request.numbers)
            if fault:
                is_done = fault.carry_out and self._answer(request).is_done
                return replace(lie, is_done=is_done)
        return self._answer(request)

    def _answer(self, request: Request) -> Answer:
        if request.name in _SENDS and request.method == "POST":
            if request.fields is None:
                return as_json(refusal(["ERR_OTHER"], full=False), 400)
            content, is_done = self._sending.answer(request.name, request.fields)
            return as_json(
                content, 200 if is_done else self._manners.refusal_status, is_done=is_done
            )
        ask = self._questions.get(request.name)
        if ask is None and request.name not in _SENDS:
            return as_json(refusal(["ERR_OTHER"], full=False), 404)
        if ask is None or request.method != "GET":
            return as_json(refusal(["ERR_OTHER"], full=False), 405)
        return ask(request)

    def _status_one(self, request: Request) -> Answer:
        now = self._clock.now()
        found = self.ledger.find(request.parts[-1], now)
        if found is None:
            return as_json(unknown_answer(self._manners.shape), is_done=True)
        return as_json(status_answer(*found, self._manners.shape, now), is_done=True)

    def _status_group(self, request: Request) -> Answer:
        group, refused = self._signed(request)
        if refused:
            return refused
        is_number = group.isdecimal() and group.isascii()
        found = self.ledger.group_changed(int(group), self._clock.now()) if is_number else None
        return self._refuse("ERR_OTHER") if found is None else _reported(found)

    def _status_any(self, request: Request) -> Answer:
        trxid, refused = self._signed(request)
        if refused:
            return refused
        if not 8 <= len(trxid) <= 64:
            return self._refuse("ERR_OTHER")
        return _reported(self.ledger.changed(trxid, self._clock.now(), self._again))

    def _signed(self, request: Request) -> tuple[str, Answer | None]:
        """What `…/{iid}/{this}/{sgn}` names, and the refusal if it is not signed."""
        iid, name, signature = (*request.parts[4:7], "", "", "")[:3]
        if iid != self._manners.integration_id:
            return name, self._refuse("WRONG_IID" if iid else "NO_IID")
        if not signature:
            return name, self._refuse("NO_SGN")
        if not signature_is_right(self._manners.key, name, signature):
            return name, self._refuse("WRONG_SIGNATURE")
        return name, None

    def _balance(self, request: Request) -> Answer:
        if request.query.get("i") != self._manners.integration_id:
            return Answer(b"BAD_INT\n", kind=PLAIN)
        figures = self.ledger.figures()
        return Answer(f"{figures['balance']:.3f} EUR\n".encode(), kind=PLAIN, is_done=True)

    def _refuse(self, code: str) -> Answer:
        return as_json(refusal([code], full=False), self._manners.refusal_status)

    def _again(self, sms: Sms) -> bool:
        return self.faults.strike(Kind.DOUBLED, "status/any", [sms.number]) is not None

    def _accepted(self, sms: Sms) -> None:
        self.pushes.plan(sms)
        if not self._quiet:
            at, status = max(one.changes[-1] for one in sms.segments)
            if status not in WAITING:
                line = f"{written(at)} {status} {sms.number} from {sms.sender}: {sms.text!r}"
                self._agenda.at(at, lambda: _say(line))


def _reported(found: list[Found]) -> Answer:
    dlrs: list[dict[str, Any]] = [report(*one) for one in found]
    return as_json({"dlrs": dlrs, "count": len(dlrs), "err_code": "OK"}, is_done=True)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
