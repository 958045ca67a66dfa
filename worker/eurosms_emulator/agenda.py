"""Things to do later, by the emulator's clock."""

from __future__ import annotations

import heapq
import itertools
import sys
import traceback
from collections.abc import Callable
from threading import Condition, Thread

from worker.eurosms_emulator.times import Clock

THREADS = 4
"""Chosen: a receiver that is slow to confirm one push does not hold up all others."""

LONGEST_WAIT_SECONDS = 3600.0
"""Chosen: an SMS may be for the year 9999, and a thread cannot wait for so long in one go."""


class Agenda:
    """Does each thing once its moment has come, on threads of its own that end with the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = Condition()
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def start(self) -> None:
        """Begin."""
        for _ in range(THREADS):
            Thread(target=self._work, daemon=True).start()

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Do this then."""
        with self._changed:
            heapq.heappush(self._entries, (moment, next(self._numbers), action))
            self._changed.notify()

    def look_again(self) -> None:
        """The clock has been put forward."""
        with self._changed:
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return len(self._entries)

    def _work(self) -> None:
        while True:
            action = self._next()
            try:
                action()
            except Exception:  # one thing that fails must not end the others
                sys.stderr.write(traceback.format_exc())

    def _next(self) -> Callable[[], None]:
        with self._changed:
            while True:
                wait = LONGEST_WAIT_SECONDS
                if self._entries:
                    wait = min(wait, self._clock.wait(self._entries[0][0]))
                if wait == 0.0:
                    self._changed.notify()  # another thread, for the next one
                    return heapq.heappop(self._entries)[2]
                self._changed.wait(wait)
