"""The worst window, as the audit looks for it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.core.windows import Window, worst_window

EVENTS = st.lists(st.tuples(st.integers(-20, 60), st.integers(1, 5)), max_size=15)


def total_until(end_us, events, length_us):
    """What a window ending then holds, counted without any cleverness."""
    return sum(cost for at_us, cost in events if end_us - length_us < at_us <= end_us)


@given(EVENTS, st.integers(1, 40))
@example([(0, 1), (10, 1)], 10)
@example([(5, 2), (5, 3), (5, 1)], 1)
def test_no_window_holds_more_than_the_worst_one_found(events, length_us):
    worst = worst_window(events, length_us)

    by_end = {end: total_until(end, events, length_us) for end in range(-20, 101)}
    assert worst.total == max(by_end.values())
    if events:
        assert by_end[worst.end_us] == worst.total
        assert all(total < worst.total for end, total in by_end.items() if end < worst.end_us)


@given(st.permutations([(0, 1), (3, 4), (3, 1), (9, 2), (11, 2)]))
def test_the_order_in_which_attempts_are_read_does_not_matter(events):
    assert worst_window(events, 10) == Window(total=9, end_us=11)


@pytest.mark.parametrize(
    ("apart_us", "total"),
    [
        pytest.param(9, 2, id="within the hour both count"),
        pytest.param(10, 1, id="an hour later to the microsecond the first has left"),
    ],
)
def test_a_window_is_open_at_its_start(apart_us, total):
    assert worst_window([(0, 1), (apart_us, 1)], length_us=10).total == total


def test_nothing_handed_over_makes_an_empty_window():
    assert worst_window([], length_us=10) == Window(total=0, end_us=0)
