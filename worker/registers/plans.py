"""Days and hours of an automatic task, as people write and read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import time

from worker.core.content import shown
from worker.registers import RegisterError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)")


def read_days(text: str) -> list[int]:
    """ISO days of the week, 1 is Monday, from names and ranges of names.

    Raises:
        RegisterError: it names something else.

    >>> read_days("mon-fri,sun"), read_days("sat-mon")
    ([1, 2, 3, 4, 5, 7], [1, 6, 7])
    """
    found: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise RegisterError(
                f"{shown(part)} is no day of the week", "write days as mon-fri or mon,wed,sat"
            )
        start = DAYS.index(first)
        length = (DAYS.index(last) - start) % 7 if dash else 0
        found.update((start + step) % 7 + 1 for step in range(length + 1))
    return sorted(found)


def read_hours(text: str) -> tuple[time, time]:
    """From and until; an end that is not after the start is on the next day.

    Raises:
        RegisterError: it is no such pair.

    >>> read_hours("8:00-17:30")
    (datetime.time(8, 0), datetime.time(17, 30))
    >>> read_hours("22:00-24:00")[1]
    datetime.time(0, 0)
    """
    found = _HOURS.fullmatch(text.replace(" ", ""))
    hours = [int(part) for part in found.groups()] if found else []
    if not hours or hours[0] == 24 or (hours[2] == 24 and hours[3] != 0):
        raise RegisterError(f"{shown(text)} are no hours", "write them as 08:00-17:30")
    return time(hours[0], hours[1]), time(hours[2] % 24, hours[3])


def plan_columns(days: str | None, hours: str | None) -> dict[str, object]:
    """The columns of a plan, {} if none is given.

    Raises:
        RegisterError: only one half is given, or it cannot be read.
    """
    if days is None and hours is None:
        return {}
    if days is None or hours is None:
        raise RegisterError(
            "a plan needs both days and hours", "give --days mon-fri --hours 08:00-17:30"
        )
    start, end = read_hours(hours)
    return {"plan_days": read_days(days), "plan_from": start, "plan_until": end}


NO_PLAN: dict[str, object] = {"plan_days": None, "plan_from": None, "plan_until": None}


def plan_text(days: Sequence[int] | None, start: time | None, end: time | None) -> str:
    """A plan as `read_days` and `read_hours` take it.

    >>> plan_text([1, 2, 3, 4, 5, 7], time(8), time(17, 30)), plan_text(None, None, None)
    ('mon-fri,sun 08:00-17:30', 'always')
    """
    if days is None or start is None or end is None:
        return "always"
    return f"{_days_text(days)} {start:%H:%M}-{end:%H:%M}"


def _days_text(days: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ",".join(
        DAYS[run[0] - 1] if len(run) == 1 else f"{DAYS[run[0] - 1]}-{DAYS[run[-1] - 1]}"
        for run in runs
    )
