"""`send/…`, and its dry run `test/…`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from worker.eurosms_emulator import protocol
from worker.eurosms_emulator.faults import Faults, Kind
from worker.eurosms_emulator.ledger import Ledger, NoBalance
from worker.eurosms_emulator.networks import fate, life, network, telling
from worker.eurosms_emulator.options import Manners
from worker.eurosms_emulator.protocol import Message, Recipient, refusal
from worker.eurosms_emulator.sms import Segment, Sms
from worker.eurosms_emulator.times import Clock, beginnings

Content = tuple[dict[str, Any], bool]
"""An answer, and whether anything was accepted."""


class Refused(Exception):
    """Nothing of it is sent.

    Attributes:
        codes: the reasons.
        more: what else the full answer says.
    """

    def __init__(self, codes: Sequence[str], more: dict[str, Any] | None = None) -> None:
        super().__init__(codes, more)
        self.codes = codes
        self.more = more or {}


class Sending:
    """Checks what is asked for, and takes on what is right.

    Args:
        manners: how the gateway behaves.
        ledger: where SMS are kept.
        faults: what goes wrong.
        clock: tells the time.
        accepted: called with each SMS once it is in the ledger.
    """

    def __init__(
        self,
        manners: Manners,
        ledger: Ledger,
        faults: Faults,
        clock: Clock,
        accepted: Callable[[Sms], None],
    ) -> None:
        self._manners = manners
        self._ledger = ledger
        self._faults = faults
        self._clock = clock
        self._accepted = accepted
        self._ways = {"one": self._one, "o2m": self._o2m, "m2m": self._m2m}

    def answer(self, name: str, fields: Mapping[str, Any]) -> Content:
        """Do what is asked under this name, such as `send/one`."""
        try:
            self._check_root(fields)
            return self._ways[name.partition("/")[2]](name, fields), True
        except Refused as refused:
            full = _is_full(fields)
            return refusal(refused.codes, full=full) | (refused.more if full else {}), False

    def _check_root(self, fields: Mapping[str, Any]) -> None:
        iid = fields.get("iid")
        if iid in (None, ""):
            raise Refused(["NO_IID"])
        if iid != self._manners.integration_id:
            raise Refused(["WRONG_IID"])
        ttl = fields.get("ttl", 1)
        is_whole = isinstance(ttl, int) and not isinstance(ttl, bool) and ttl > 0
        if not is_whole or fields.get("rsp", "basic") not in ("basic", "full"):
            raise Refused(["ERR_OTHER"])

    def _one(self, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        own = {key: value for key, value in fields.items() if key != "rcpts"}
        message = protocol.message(own, self._manners.key)
        (sms,) = self._take(name, message, self._beginnings(fields, 1))
        return {"uuid": _uuids(sms), **refusal(["ENQUEUED"], full=False)}

    def _o2m(self, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        own = {key: value for key, value in fields.items() if key != "rcpt"}
        message = protocol.message(own, self._manners.key)
        group = self._ledger.new_group()
        begins = self._beginnings(fields, max(1, len(message.good)))
        taken = self._take(name, message, begins, group)
        if not _is_full(fields):
            return {"accepted": len(taken), "rejected": len(message.wrong), "group_id": group}
        return {
            "err_code": "ENQUEUED",
            "err_list": [],
            "group_id": group,
            "accepted": [
                _named(one) | {"i": _uuids(sms)}
                for one, sms in zip(message.good, taken, strict=True)
            ],
            "wrong_numbers": [{"r": one} for one in message.wrong],
        }

    def _m2m(self, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        given = fields.get("msgs")
        if not isinstance(given, list) or not given:
            raise Refused(["NO_MSG"])
        messages = [self._element(one, fields) for one in given]
        if sum(len(one.everybody) for one in messages) > protocol.MOST_MESSAGES:
            raise Refused(["TOO_MANY_MESSAGES"])
        group = self._ledger.new_group()
        begins = self._beginnings(fields, len(messages))
        result: list[dict[str, Any]] = []
        for begin, message in zip(begins, messages, strict=True):
            result += self._results(name, message, begin, group)
        codes = [one["e"] for one in result]
        good = codes.count("ENQUEUED")
        if not good:
            raise Refused(list(dict.fromkeys(codes)), {"result": result})
        if not _is_full(fields):
            return {"accepted": good, "rejected": len(result) - good, "group_id": group}
        return {"err_code": "ENQUEUED", "err_list": [], "group_id": group, "result": result}

    def _element(self, one: Any, root: Mapping[str, Any]) -> Message:
        if not isinstance(one, dict) or not one.keys().isdisjoint(("sch", "ttl")):
            everybody = (one["rcpt"],) if isinstance(one, dict) and "rcpt" in one else (None,)
            return Message(("ERR_OTHER",), wrong=everybody)
        return protocol.message(one, self._manners.key, root.get("dsndr"), root.get("dflgs", 0))

    def _results(
        self, name: str, message: Message, begin: float, group: int
    ) -> list[dict[str, Any]]:
        try:
            taken = self._take(name, message, [begin] * len(message.good), group)
        except Refused as refused:
            return [{"e": refused.codes[0], "r": one} for one in message.everybody or [None]]
        results = [
            {"e": "ENQUEUED", **_named(one), "i": _uuids(sms)}
            for one, sms in zip(message.good, taken, strict=True)
        ]
        return results + [{"e": "WRONG_NUMBER", "r": one} for one in message.wrong]

    def _beginnings(self, fields: Mapping[str, Any], count: int) -> list[float]:
        try:
            return beginnings(fields, count, self._clock.now())
        except ValueError:
            raise Refused(["WRONG_SCH"]) from None

    def _take(
        self, name: str, message: Message, begins: Sequence[float], group: int | None = None
    ) -> list[Sms]:
        """Take a message on for all of its good numbers, or say why not."""
        more = {"wrong_numbers": [{"r": one} for one in message.wrong], "accepted": []}
        codes = [*message.codes, *self._faulty(name, [one.digits for one in message.good])]
        if codes:
            raise Refused(codes, more if group is not None else None)
        dry = name.startswith("test/")
        pairs = zip(message.good, begins, strict=True)
        taken = [self._sms(name, message, one, begin, group) for one, begin in pairs]
        try:
            if not dry:
                self._ledger.accept(taken)
            elif not self._ledger.affords(sum(one.cost for one in taken)):
                raise NoBalance
        except NoBalance:
            raise Refused(["NO_BALANCE"], more if group is not None else None) from None
        if not dry:
            for sms in taken:
                self._accepted(sms)
        return taken

    def _faulty(self, name: str, numbers: Sequence[str]) -> list[str]:
        if self._faults.strike(Kind.NO_BALANCE, name, numbers):
            return ["NO_BALANCE"]
        fault = self._faults.strike(Kind.REFUSE, name, numbers)
        return [fault.code] if fault else []

    def _sms(
        self, path: str, message: Message, one: Recipient, begin: float, group: int | None
    ) -> Sms:
        late = self._faults.strike(Kind.LATE, path, [one.digits])
        disorder = self._faults.strike(Kind.OUT_OF_ORDER, path, [one.digits])
        seconds = late.seconds if late else 0.0
        parts = []
        for place in range(1, message.segments + 1):
            after = fate(
                one.digits, is_last=place == message.segments, magic=self._manners.magic_numbers
            )
            changes = life(after, message.flags, begin, self._manners.report_after)
            told = telling(changes, seconds, in_order=not disorder)
            name = str(uuid.uuid4())
            parts.append(Segment(name, place, tuple(changes), tuple(told), not disorder))
        theirs = network(one.digits)
        return Sms(
            key=one.key,
            number=one.digits,
            sender=message.sender,
            text=message.text,
            flags=message.flags,
            at=self._clock.now(),
            carrier=theirs.code,
            price=theirs.price,
            group=group,
            segments=tuple(parts),
        )


def _is_full(fields: Mapping[str, Any]) -> bool:
    return fields.get("rsp") == "full"


def _uuids(sms: Sms) -> list[str]:
    """In upper case, as the gateway answers them; it reports them in lower case."""
    return [one.uuid.upper() for one in sms.segments]


def _named(one: Recipient) -> dict[str, Any]:
    return {"r": one.given} | ({"f": one.key} if one.key else {})
