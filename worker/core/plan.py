"""When an automatic task may send: always, or on days of the week between two hours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Plan:
    """Days and hours in a company's time zone.

    Attributes:
        days: ISO days of the week on which a run starts, 1 is Monday.
        start: local time at which it starts.
        end: local time at which it ends; not after `start` means on the next day.
        zone: the company's time zone.
    """

    days: frozenset[int]
    start: time
    end: time
    zone: ZoneInfo

    def runs(self, now: datetime) -> list[tuple[datetime, datetime]]:
        """Start and end, in UTC, of the runs from yesterday to a week ahead.

        A start that falls into the hour that summer time skips is that hour later; one
        that happens twice in autumn counts the first time (PEP 495, fold 0).
        """
        today = now.astimezone(self.zone).date()
        found = []
        for ahead in range(-1, 9):
            day = today + timedelta(days=ahead)
            if day.isoweekday() in self.days:
                last = day if self.end > self.start else day + timedelta(days=1)
                found.append((self._utc(day, self.start), self._utc(last, self.end)))
        return found

    def _utc(self, day: date, at: time) -> datetime:
        local = datetime.combine(day, at, tzinfo=self.zone)
        return local.astimezone(UTC)


def make_plan(
    days: Iterable[int] | None, start: time | None, end: time | None, zone: str
) -> Plan | None:
    """A plan as an automatic task has it; None means always.

    >>> make_plan(None, None, None, "Europe/Bratislava") is None
    True
    """
    if days is None or start is None or end is None:
        return None
    return Plan(frozenset(days), start, end, ZoneInfo(zone))


def open_until(plan: Plan | None, now: datetime) -> datetime | None:
    """When the present run ends; None if there is none now. No plan never ends."""
    if plan is None:
        return datetime.max.replace(tzinfo=UTC)
    ends = [end for start, end in plan.runs(now) if start <= now < end]
    return max(ends, default=None)


def next_start(plan: Plan, now: datetime) -> datetime:
    """When the next run starts, strictly after now."""
    return min(start for start, _ in plan.runs(now) if start > now)
