"""The emulator's clock, and times as the gateway writes them: local ones that name no zone."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from threading import Lock
from typing import Any
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Bratislava")
DAY = 86_400.0
"""Seconds."""

_MINUTE = "%Y-%m-%d %H:%M"
_DURATION = re.compile(r"([0-9]{1,2}):([0-5][0-9])")


class Clock:
    """The present, in seconds since the epoch; it can run faster, and be put forward.

    Args:
        offset: seconds ahead of this machine's clock.
        days_per_second: how fast it runs; None is as fast as time does.
    """

    def __init__(self, offset: float = 0.0, days_per_second: float | None = None) -> None:
        self._lock = Lock()
        self._speed = 1.0 if days_per_second is None else days_per_second * DAY
        self._began = time.monotonic()
        self._shown = time.time() + offset

    def now(self) -> float:
        """The present."""
        with self._lock:
            return self._now()

    def forward(self, seconds: float) -> float:
        """Put it forward; returns the new present."""
        with self._lock:
            self._shown += seconds
            return self._now()

    def not_before(self, moment: float) -> None:
        """Put it forward to a moment that has been seen already, so that time never runs back."""
        with self._lock:
            self._shown += max(0.0, moment - self._now())

    def wait(self, until: float) -> float:
        """The real seconds until a moment comes."""
        return max(0.0, until - self.now()) / self._speed

    def _now(self) -> float:
        return self._shown + (time.monotonic() - self._began) * self._speed


def written(moment: float) -> str:
    """A moment as the gateway writes it.

    >>> written(1547551213.9)
    '2019-01-15 12:20:13'
    """
    return datetime.fromtimestamp(moment, ZONE).strftime("%Y-%m-%d %H:%M:%S")


def beginnings(fields: Mapping[str, Any], count: int, now: float) -> list[float]:
    """When each of `count` SMS leaves: at `sch` or `start`, spread over `dur` or until `end`.

    A time that has passed means at once.

    Raises:
        ValueError: one of the fields is not of the form `YYYY-MM-DD HH:MM` (`HH:MM` for `dur`).
    """
    start = fields.get("sch", fields.get("start"))
    begin = now if start is None else max(now, _moment(start))
    length = 0.0
    if fields.get("dur") is not None:
        length = _duration(fields["dur"])
    elif fields.get("end") is not None:
        length = max(0.0, _moment(fields["end"]) - begin)
    return [begin + length * turn / count for turn in range(count)]


def _moment(text: object) -> float:
    moment = datetime.strptime(str(text), _MINUTE).replace(tzinfo=ZONE)
    if moment.strftime(_MINUTE) != text:  # such as 2026-1-2 3:4, which strptime lets pass
        raise ValueError(f"{text!r} has not all its digits")
    return moment.timestamp()


def _duration(text: object) -> float:
    """Seconds of a duration in hours and minutes."""
    found = _DURATION.fullmatch(str(text))
    if not found:
        raise ValueError(f"{text!r} is no duration")
    return timedelta(hours=int(found[1]), minutes=int(found[2])).total_seconds()
