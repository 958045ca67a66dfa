"""Judging a rate after the fact: the worst window against the limit then in force."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """A limit through time.

    Attributes:
        first: in force before any change; None is no limit.
        changes: time in µs and the limit from then on, oldest first.

    >>> limits = Limits(100, ((10, 300), (20, 200)))
    >>> limits.greatest(0, 9), limits.greatest(5, 10), limits.greatest(20, 30)
    (100, 300, 200)
    """

    first: int | None
    changes: tuple[tuple[int, int | None], ...] = ()

    def greatest(self, since_us: int, until_us: int) -> int | None:
        """The greatest limit in force at any time from `since_us` to `until_us`."""
        begun = bisect_right(self.changes, since_us, key=lambda change: change[0])
        ended = bisect_right(self.changes, until_us, key=lambda change: change[0])
        at_first = self.changes[begun - 1][1] if begun else self.first
        held = [at_first, *(limit for _, limit in self.changes[begun:ended])]
        limited = [limit for limit in held if limit is not None]
        return max(limited) if len(limited) == len(held) else None

    def steps(self, since_us: int, until_us: int) -> list[tuple[int, int | None]]:
        """The limit at `since_us`, and each other one up to `until_us`: from when, and what.

        >>> Limits(100, ((10, 300), (20, 300), (25, 200))).steps(15, 30)
        [(15, 300), (25, 200)]
        """
        begun = bisect_right(self.changes, since_us, key=lambda change: change[0])
        at_first = self.changes[begun - 1][1] if begun else self.first
        found = [(since_us, at_first)]
        for at_us, limit in self.changes[begun:]:
            if at_us <= until_us and limit != found[-1][1]:
                found.append((at_us, limit))
        return found

    @property
    def ever(self) -> bool:
        """Whether there was a limit at any time."""
        return self.first is not None or any(limit is not None for _, limit in self.changes)


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """A window (`end_us` - length, `end_us`], what it holds, and the most that it might."""

    total: int
    end_us: int
    limit: int | None

    @property
    def excess(self) -> int:
        """How much it holds beyond its limit."""
        return 0 if self.limit is None else max(self.total - self.limit, 0)


class SlidingSum:
    """What the window that ends now holds; its memory is bounded by that.

    Args:
        length_us: length of the window.
    """

    def __init__(self, length_us: int) -> None:
        self.length_us = length_us
        self.total = 0
        self._inside: deque[tuple[int, int]] = deque()

    def add(self, at_us: int, cost: int) -> int:
        """Take in a hand-over; call in order of `at_us`. Returns what the window then holds."""
        self._inside.append((at_us, cost))
        self.total += cost
        return self.move_to(at_us)

    def move_to(self, at_us: int) -> int:
        """Let the window end at a later time; returns what it then holds."""
        # Half open: what was handed over a whole length ago has left the window.
        while self._inside and self._inside[0][0] <= at_us - self.length_us:
            self.total -= self._inside.popleft()[1]
        return self.total


class RateWatch:
    """Follows the hand-overs under one budget, and keeps the worst window of them.

    Worst is what exceeds its limit most; if none does, the fullest, and the first of those.
    Its memory is bounded by what one window holds.

    Args:
        length_us: length of the window.
        limits: the budget's.
        since_us: windows are judged that end after this; what went before may be in them.
        slack_us: the longest from a claim, which reads the limit, to the permit. The last
            permit of a window was granted under a limit that was in force this long or less
            before its last claim.
    """

    def __init__(self, length_us: int, limits: Limits, *, since_us: int, slack_us: int) -> None:
        self.length_us = length_us
        self.limits = limits
        self.since_us = since_us
        self.slack_us = slack_us
        self.total = 0
        self.worst = JudgedWindow(0, since_us, limits.greatest(since_us, since_us))
        self._window = SlidingSum(length_us)
        self._last_claims: deque[tuple[int, int]] = deque()  # falling; the first is the last claim

    def add(self, at_us: int, cost: int, claimed_us: int) -> None:
        """Take in a hand-over; call in order of `at_us`."""
        self._window.add(at_us, cost)
        while self._last_claims and self._last_claims[-1][1] <= claimed_us:
            self._last_claims.pop()
        self._last_claims.append((at_us, claimed_us))
        while self._last_claims[0][0] <= at_us - self.length_us:
            self._last_claims.popleft()
        if at_us > self.since_us:
            self.total += cost
            self._judge(at_us)

    def _judge(self, end_us: int) -> None:
        claimed_us = self._last_claims[0][1]
        limit = self.limits.greatest(claimed_us - self.slack_us, claimed_us)
        window = JudgedWindow(self._window.total, end_us, limit)
        if (window.excess, window.total) > (self.worst.excess, self.worst.total):
            self.worst = window
