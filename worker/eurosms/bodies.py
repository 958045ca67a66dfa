"""The bodies of requests: JSON in UTF-8, signed over what it says.

What is signed is sender, numbers and text one behind the other, as they are before JSON escapes
anything; own keys, flags and times are not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from worker.eurosms.settings import EuroSmsSettings
from worker.eurosms.sms import Sms

Json = dict[str, object]


def one(settings: EuroSmsSettings, sms: Sms) -> bytes:
    """The body for one SMS."""
    return _encoded(
        {
            "iid": settings.integration_id,
            "sgn": settings.sign(sms.sender + sms.number + sms.text),
            "rcpt": _recipient(sms),
            "sndr": sms.sender,
            "txt": sms.text,
            "flgs": sms.flags,
            **_validity(sms),
            **_time("sch", sms, settings.zone),
            "rsp": "full",
        }
    )


def one_to_many(settings: EuroSmsSettings, batch: Sequence[Sms]) -> bytes:
    """The body for one text to many numbers.

    Raises:
        ValueError: they differ in more than number and own key.
    """
    first = batch[0]
    if len({(s.sender, s.text, s.flags, s.ttl, s.schedule) for s in batch}) > 1:
        raise ValueError("one to many: they may differ in number and own key alone")
    numbers = "".join(sms.number for sms in batch)
    return _encoded(
        {
            "iid": settings.integration_id,
            "sgn": settings.sign(first.sender + numbers + first.text),
            "rcpts": [_recipient(sms) for sms in batch],
            "sndr": first.sender,
            "txt": first.text,
            "flgs": first.flags,
            **_validity(first),
            **_time("start", first, settings.zone),
            "rsp": "full",
        }
    )


def many_to_many(settings: EuroSmsSettings, batch: Sequence[Sms]) -> bytes:
    """The body for many SMS.

    Raises:
        ValueError: one of them has a validity or a time to send at, for which there is no place.
    """
    if any(sms.ttl is not None or sms.schedule is not None for sms in batch):
        raise ValueError("many to many: no place for a validity or a time to send at")
    return _encoded(
        {
            "iid": settings.integration_id,
            "dsndr": batch[0].sender,
            "rsp": "full",
            "msgs": [
                {
                    "sgn": settings.sign(sms.sender + sms.number + sms.text),
                    "rcpt": _recipient(sms),
                    "sndr": sms.sender,
                    "txt": sms.text,
                    "flgs": sms.flags,
                }
                for sms in batch
            ],
        }
    )


def _encoded(body: Json) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _recipient(sms: Sms) -> Json:
    return {"r": int(sms.number), "f": sms.own_key}


def _validity(sms: Sms) -> Json:
    return {} if sms.ttl is None else {"ttl": sms.ttl}


def _time(name: str, sms: Sms, zone: ZoneInfo) -> Json:
    return {} if sms.schedule is None else {name: _minutes(sms.schedule, zone)}


def _minutes(moment: datetime, zone: ZoneInfo) -> str:
    """A moment on the clock of a zone; up to the next minute, so that nothing goes too early.

    Of the hour that comes twice in autumn the clock cannot tell which is meant.
    """
    up = moment.astimezone(UTC) + timedelta(minutes=1, microseconds=-1)
    return up.astimezone(zone).strftime("%Y-%m-%d %H:%M")
