"""Reports and inbound SMS that the gateway brings to a receiver, until they are confirmed."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from threading import Lock, local
from typing import Any

import requests

from worker.eurosms_emulator.agenda import Agenda
from worker.eurosms_emulator.faults import Faults, Kind
from worker.eurosms_emulator.ledger import Ledger
from worker.eurosms_emulator.reports import pushed
from worker.eurosms_emulator.sms import Segment, Sms
from worker.eurosms_emulator.times import DAY, Clock, written

TIMEOUT_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 3600.0
"""Chosen: between two tries of the same push."""


class Format(StrEnum):
    """How a push carries its keys."""

    QUERY = "query"
    """GET; each key is a parameter."""
    FORM = "form"
    """POST; each key is a field."""
    PARAMETER = "parameter"
    """GET; one parameter (`delivery_report` or `received`) holds a JSON object."""
    JSON = "json"
    """POST; the body is that JSON object."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where pushes go.

    Attributes:
        url: on loopback; None for nowhere.
        format: how.
        every: each change is pushed, not only those that end something.
        repeat: seconds until an unconfirmed push comes again; doubled each time, and given up
            after 24 hours.
    """

    url: str | None = None
    format: Format = Format.QUERY
    every: bool = False
    repeat: float = 60.0


@dataclass(frozen=True, slots=True)
class Push:
    """One thing to bring to the receiver.

    Attributes:
        parameter: the name of the parameter that holds it.
        content: its keys.
        first_at: when it was due first.
        tries: how often it has been tried.
        change: uuid and index of the change that it reports; None for an inbound SMS.
    """

    parameter: str
    content: Mapping[str, Any]
    first_at: float
    tries: int = 0
    change: tuple[str, int] | None = None


class Pushes:
    """What is on its way to the receiver.

    Attributes:
        receiver: where it is; may be set anew, for SMS that are accepted from then on.
    """

    def __init__(
        self, receiver: Receiver, ledger: Ledger, agenda: Agenda, faults: Faults, clock: Clock
    ) -> None:
        self.receiver = receiver
        self._ledger = ledger
        self._agenda = agenda
        self._faults = faults
        self._clock = clock
        self._own = local()
        self._counting = Lock()
        self._figures: Counter[str] = Counter(dict.fromkeys(("sent", "confirmed", "given_up"), 0))

    def figures(self) -> dict[str, int]:
        """How many pushes were sent, confirmed and given up."""
        return dict(self._figures)

    def resume(self) -> None:
        """Take up the pushes that the process before this one left unconfirmed."""
        if self.receiver.url is not None:
            for sms, segment, index in list(self._ledger.pushes_open()):
                self._plan(sms, segment, only=index)

    def plan(self, sms: Sms) -> None:
        """Push the changes of an SMS that has just been accepted, once they come."""
        if self.receiver.url is not None:
            for segment in sms.segments:
                self._plan(sms, segment)

    def receive(self, sender: str, recipient: str, text: str) -> str:
        """Push an inbound SMS; returns its uuid."""
        name, now = str(uuid.uuid4()), self._clock.now()
        content = {
            "sms_uuid": name,
            "recipient": recipient,
            "receive_time": written(now),
            "sender": sender,
            "sms_text": text,
        }
        self._later(now, Push("received", content, now))
        return name

    def _plan(self, sms: Sms, segment: Segment, only: int | None = None) -> None:
        for at, index in segment.announced(every=self.receiver.every):
            if only in (None, index):
                content, change = pushed(sms, segment, index), (segment.uuid, index)
                push = Push("delivery_report", content, at, change=change)
                self._later(at, push)
                if self._faults.strike(Kind.DOUBLED, "push", [sms.number]):
                    self._later(at, push)

    def _later(self, at: float, push: Push) -> None:
        self._agenda.at(at, partial(self._try, push))

    def _try(self, push: Push) -> None:
        now = self._clock.now()
        self._count("sent")
        confirmed = self._is_confirmed(push)
        wait = min(self.receiver.repeat * 2**push.tries, LONGEST_WAIT_SECONDS)
        if not confirmed and now + wait - push.first_at <= DAY:
            self._later(now + wait, replace(push, tries=push.tries + 1))
            return
        self._count("confirmed" if confirmed else "given_up")
        if push.change is not None:
            self._ledger.push_over(*push.change, now, confirmed=confirmed)

    def _count(self, what: str) -> None:
        with self._counting:
            self._figures[what] += 1

    def _is_confirmed(self, push: Push) -> bool:
        try:
            answer = self._session().request(
                **_request(self.receiver, push), timeout=TIMEOUT_SECONDS, allow_redirects=False
            )
        except requests.RequestException:
            return False
        return answer.status_code == 200 and is_confirmation(
            answer.content, push.content["sms_uuid"]
        )

    def _session(self) -> requests.Session:
        """A session of this thread's own, for they are not safe between threads."""
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
            self._own.session.trust_env = False  # a proxy would not be on loopback
            self._own.session.headers["X-Kadencia"] = "EMULATOR"
        session: requests.Session = self._own.session
        return session


def is_confirmation(body: bytes, name: str) -> bool:
    r"""Whether an answer confirms the push of a uuid: exactly so, with nothing around it.

    >>> [is_confirmation(body, "a-1") for body in (b"ok|a-1", b"ok|a-1\n", b"ok:a-1", b"ok|A-1")]
    [True, False, False, False]
    >>> is_confirmation(b'{"sms_uuid": "a-1", "status": "ok"}', "a-1")
    True
    """
    if body == f"ok|{name}".encode():
        return True
    try:
        return bool(json.loads(body) == {"sms_uuid": name, "status": "ok"})
    except ValueError:
        return False


def _request(receiver: Receiver, push: Push) -> dict[str, Any]:
    whole = json.dumps(push.content, ensure_ascii=False)
    match receiver.format:
        case Format.JSON:
            headers = {"Content-Type": "application/json"}
            extra: dict[str, Any] = {"data": whole.encode(), "headers": headers}
        case Format.PARAMETER:
            extra = {"params": {push.parameter: whole}}
        case _ if push.parameter == "received":  # inbound SMS come in JSON only
            is_form = receiver.format is Format.FORM
            extra = {"data" if is_form else "params": {push.parameter: whole}}
        case Format.FORM:
            extra = {"data": push.content}
        case Format.QUERY:
            extra = {"params": push.content}
    method = "POST" if receiver.format in (Format.FORM, Format.JSON) else "GET"
    return {"method": method, "url": receiver.url, **extra}
