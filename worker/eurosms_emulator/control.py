"""What a test or a person asks of the emulator beside the protocol, under `/emulator`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from worker.eurosms_emulator.agenda import Agenda
from worker.eurosms_emulator.exchange import Answer, Request, as_json
from worker.eurosms_emulator.faults import Fault
from worker.eurosms_emulator.gateway import Gateway
from worker.eurosms_emulator.options import loopback_url, thousandths
from worker.eurosms_emulator.protocol import is_number
from worker.eurosms_emulator.pushes import Format, Receiver
from worker.eurosms_emulator.times import DAY, Clock, written

LONGEST_LEAP_SECONDS = 3_653 * DAY


class Control:
    """Answers under `/emulator`."""

    def __init__(self, gateway: Gateway, agenda: Agenda, clock: Clock) -> None:
        self._gateway = gateway
        self._agenda = agenda
        self._clock = clock
        self._ways = {
            "GET records": self._records,
            "GET figures": lambda _: self._figures(),
            "GET faults": lambda _: self._listed(),
            "POST faults": self._faults,
            "POST clock": self._forward,
            "POST balance": self._top_up,
            "POST push": self._push,
            "POST inbound": self._inbound,
        }

    def respond(self, request: Request) -> Answer:
        """Do what is asked; a mistake is a 400 that says what is wrong."""
        way = self._ways.get(f"{request.method} {'/'.join(request.parts[1:])}")
        if way is None:
            return as_json({"error": f"choose from {', '.join(self._ways)}"}, 404)
        if request.method == "POST" and request.fields is None:
            return as_json({"error": "the body is not a JSON object"}, 400)
        try:
            return as_json(way(request.fields or {}))
        except KeyError as error:
            return as_json({"error": f"the body has no {error}"}, 400)
        except (argparse.ArgumentTypeError, TypeError, ValueError) as error:
            return as_json({"error": str(error)}, 400)

    def _records(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"sms": self._gateway.ledger.records(self._clock.now()), **self._figures()}

    def _figures(self) -> dict[str, Any]:
        return {
            "now": written(self._clock.now()),
            "figures": self._gateway.ledger.figures(),
            "requests": dict(self._gateway.requests),
            "pushes": self._gateway.pushes.figures(),
        }

    def _listed(self) -> dict[str, Any]:
        return {"faults": self._gateway.faults.listed()}

    def _faults(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        self._gateway.faults.replace([Fault.make(one) for one in fields["faults"]])
        return self._listed()

    def _forward(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        seconds = float(fields["forward_seconds"])
        if not 0 <= seconds <= LONGEST_LEAP_SECONDS:
            raise ValueError("time does not run back: forward_seconds must be 0 to ten years")
        now = self._clock.forward(seconds)
        self._gateway.ledger.note_time(now)
        self._agenda.look_again()
        return {"now": written(now)}

    def _top_up(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        amount = thousandths(str(fields["add"]))
        return {"balance": self._gateway.ledger.top_up(amount, self._clock.now()) / 1000}

    def _push(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        before = self._gateway.pushes.receiver
        receiver = Receiver(
            url=None if fields["url"] is None else loopback_url(fields["url"]),
            format=Format(fields.get("format", before.format)),
            every=bool(fields.get("every_change", before.every)),
            repeat=float(fields.get("repeat_seconds", before.repeat)),
        )
        self._gateway.pushes.receiver = receiver
        return {"url": receiver.url, "format": receiver.format}

    def _inbound(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        if self._gateway.pushes.receiver.url is None:
            raise ValueError("there is no receiver; name one with --push-url or /emulator/push")
        sender, recipient = str(fields["sender"]), str(fields["recipient"])
        if not is_number(sender):
            raise ValueError(f"{sender!r} is no full international number")
        name = self._gateway.pushes.receive(sender, recipient, str(fields["text"]))
        return {"sms_uuid": name}
