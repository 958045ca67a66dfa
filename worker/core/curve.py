"""How much was sent in the hour up to each moment, in so many points that a page can draw it."""

from __future__ import annotations

from worker.core.rate import SlidingSum


class Curve:
    """Follows the hand-overs under one budget, and keeps the fullest window of each stretch.

    The time is parted into stretches of one length; what is kept of a stretch is the most that
    any window held that ended within it. So the highest point is the fullest window of all,
    however few points there are. Memory is bounded by what one window holds, and the points.

    Args:
        length_us: length of the window.
        since_us: where the time begins; what went before may be in its first windows.
        until_us: where it ends, after `since_us`.
        points: how many stretches, at least 1.

    >>> curve = Curve(10, since_us=0, until_us=40, points=4)
    >>> for at in (2, 3, 25):
    ...     curve.add(at, 1)
    >>> curve.finished()
    [2, 2, 1, 1]
    """

    def __init__(self, length_us: int, *, since_us: int, until_us: int, points: int) -> None:
        if until_us <= since_us or points < 1:
            raise ValueError("a curve needs a time and at least one point")
        self.since_us = since_us
        self.until_us = until_us
        self._window = SlidingSum(length_us)
        self._most = [0] * points
        self._at = -1  # the stretch that was begun last

    def add(self, at_us: int, cost: int) -> None:
        """Take in a hand-over; call in order of `at_us`."""
        if at_us > self.until_us:
            return
        if at_us > self.since_us:
            self._go_to(self._stretch(at_us))
        total = self._window.add(at_us, cost)
        if at_us > self.since_us:
            self._most[self._at] = max(self._most[self._at], total)

    def finished(self) -> list[int]:
        """The most of each stretch, up to the end of the time."""
        self._go_to(len(self._most) - 1)
        return list(self._most)

    def starts(self) -> list[int]:
        """Where each stretch begins, in µs."""
        return [self._start(number) for number in range(len(self._most))]

    def _go_to(self, stretch: int) -> None:
        """Begin each stretch up to this one with what its first moment finds in the window."""
        while self._at < stretch:
            self._at += 1
            self._most[self._at] = self._window.move_to(self._start(self._at))

    def _start(self, stretch: int) -> int:
        return self.since_us + stretch * (self.until_us - self.since_us) // len(self._most)

    def _stretch(self, at_us: int) -> int:
        # The last stretch whose start is not after it.
        points = len(self._most)
        found = min((at_us - self.since_us) * points // (self.until_us - self.since_us), points - 1)
        while found + 1 < points and self._start(found + 1) <= at_us:
            found += 1
        return found
