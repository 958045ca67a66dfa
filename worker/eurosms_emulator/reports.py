"""Delivery reports as the gateway writes them: in answers, in three shapes, and in pushes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from worker.eurosms_emulator.sms import Segment, Sms
from worker.eurosms_emulator.times import written

_TO_THE_MINUTE = "231.1"
"""The network whose times of delivery are cut to the minute, so that they may precede the sending;
seen in answers of the real gateway."""


class Shape(StrEnum):
    """How `status/one` answers; each is attested."""

    FLAT = "flat"
    """One object: the segment that was asked for."""
    LIST = "list"
    """An array of such objects, one for each segment."""
    NESTED = "nested"
    """An object of what the segments share, with their statuses in `dlrs`."""


def report(sms: Sms, segment: Segment, index: int) -> dict[str, Any]:
    """One change of one segment, as in `dlrs` of `status/group` and `status/any`."""
    return _common(sms, segment) | {"f": sms.key} | _status(sms, segment, index)


def status_answer(sms: Sms, segment: Segment, shape: Shape, now: float) -> Any:
    """The answer of `status/one` for a segment."""
    if shape is Shape.FLAT:
        return _one(sms, segment, now)
    if shape is Shape.LIST:
        return [_one(sms, one, now) for one in sms.segments]
    statuses = [_status(sms, one, one.status(now) or 0) for one in sms.segments]
    return _common(sms, segment) | {"err_code": "OK", "f_id": sms.key, "dlrs": statuses}


def unknown_answer(shape: Shape) -> Any:
    """The answer of `status/one` for a uuid that nobody knows; sources disagree here as well."""
    if shape is Shape.LIST:
        return []
    return {"err_code": "ERR_NO_SUCH_UUID", "err_desc": "No such message"}


def pushed(sms: Sms, segment: Segment, index: int) -> dict[str, Any]:
    """One change as it is pushed; the own key is not in it."""
    at, status = segment.changes[index]
    return {
        "sent_result": "OK",
        "sent_time": written(sms.sent_at),
        "delivery_result": status,
        "delivery_time": written(_cut(sms, at)) if status == "DELIVRD" else "",
        "operator": sms.carrier,
        "price": sms.price / 1000,
        "sms_uuid": segment.uuid,
        "segment": segment.place,
    }


def _one(sms: Sms, segment: Segment, now: float) -> dict[str, Any]:
    return report(sms, segment, segment.status(now) or 0) | {"err_code": "OK"}


def _common(sms: Sms, segment: Segment) -> dict[str, Any]:
    return {
        "rcpt": int(sms.number),
        "carrier": sms.carrier,
        "price": sms.price / 1000,
        "snd": written(sms.sent_at),
        "i": segment.uuid,
    }


def _status(sms: Sms, segment: Segment, index: int) -> dict[str, Any]:
    at, status = segment.changes[index]
    return {"sgmnt": segment.place, "dlr": status, "dlr_time": written(_cut(sms, at))}


def _cut(sms: Sms, at: float) -> float:
    return at - at % 60 if sms.carrier == _TO_THE_MINUTE else at
