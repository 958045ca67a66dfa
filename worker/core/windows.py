"""The worst window: the most that was handed over in any 60 minutes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """A window (`end_us` - length, `end_us`] and what was handed over in it."""

    total: int
    end_us: int


def worst_window(handed_over: Iterable[tuple[int, int]], length_us: int) -> Window:
    """The fullest window of a given length.

    Args:
        handed_over: time in µs and cost of each hand-over, in any order.
        length_us: length of the window in µs.

    Returns:
        The first of the fullest windows, ending with a hand-over; total 0 for none.

    >>> worst_window([(0, 1), (5, 1), (10, 2)], length_us=10)
    Window(total=3, end_us=10)
    """
    events = sorted(handed_over)
    worst, total, oldest = Window(0, 0), 0, 0
    for at_us, cost in events:
        total += cost
        # Half open: what was handed over a whole length ago has left the window.
        while events[oldest][0] <= at_us - length_us:
            total -= events[oldest][1]
            oldest += 1
        if total > worst.total:
            worst = Window(total, at_us)
    return worst
