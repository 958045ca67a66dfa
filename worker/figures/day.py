"""Attempts since midnight, as counters that never fall before the next midnight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from worker.figures import catalogue as of
from worker.figures.catalogue import Point
from worker.outbox import tallies
from worker.outbox.tallies import REFUSED, Tally

SETTLED_AFTER = timedelta(hours=1)
"""Chosen: what was opened so long ago is closed, or its deadline is long past."""

OUTCOMES = ("accepted", "deferred", "rejected", "unknown", "void", REFUSED)

Key = tuple[int, str]


class Day:
    """Counts attempts from midnight UTC on.

    The evidence is what is counted, so that any number of these agree, and one that is started
    anew goes on where the last one was. At midnight the counters begin at 0, as those of a
    process that was started again do, and Prometheus takes it so. Attempts that were open at
    midnight are told by neither day.

    An attempt that was unknown may turn out to have been accepted; it stays counted as unknown.
    """

    def __init__(self) -> None:
        self._from = datetime.min.replace(tzinfo=UTC)
        self._until = self._from
        self._settled: dict[Key, list[int]] = {}
        self._told: dict[Key, list[int]] = {}

    def look(self, connection: Connection, now: datetime) -> None:
        """Count anew what may have changed: the last hours, however full the day was."""
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if midnight != self._from:
            self._from = self._until = midnight
            self._settled, self._told = {}, {}
        settled = now - SETTLED_AFTER
        if settled - self._until > SETTLED_AFTER:
            _add(self._settled, tallies.attempts(connection, self._until, settled))
            self._until = settled
        found = {key: list(counts) for key, counts in self._settled.items()}
        _add(found, tallies.attempts(connection, self._until, now + timedelta(days=1)))
        for key, counts in found.items():
            told = self._told.get(key, [0, 0])
            self._told[key] = [max(pair) for pair in zip(told, counts, strict=True)]

    def points(self, tasks: list[int]) -> Iterator[Point]:
        """The counters of these automatic tasks, 0 among them, so that a first rise is seen."""
        for task_id in tasks:
            task = str(task_id)
            counts = {name: self._told.get((task_id, name), [0, 0]) for name in OUTCOMES}
            for name, (attempts, cost) in counts.items():
                yield Point(of.ATTEMPTS, attempts, (task, name))
                yield Point(of.COST, cost, (task, name))
            granted = sum(counts[name][0] for name in OUTCOMES if name not in ("void", REFUSED))
            yield Point(of.PERMITS, granted, (task, "granted"))
            yield Point(of.PERMITS, counts[REFUSED][0], (task, "refused"))


def _add(to: dict[Key, list[int]], found: Iterator[Tally]) -> None:
    sums: dict[Key, list[int]] = defaultdict(lambda: [0, 0], to)
    for one in found:
        attempts, cost = sums[one.task_id, one.outcome]
        sums[one.task_id, one.outcome] = [attempts + one.attempts, cost + one.cost]
    to.update(sums)
