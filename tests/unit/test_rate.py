"""The worst window against the limit then in force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.rate import JudgedWindow, Limits, RateWatch
from worker.core.windows import worst_window

HAND_OVERS = st.lists(st.tuples(st.integers(1, 200), st.integers(1, 3), st.integers(0, 20)))


def watch(limits: Limits, since_us: int = 0, slack_us: int = 0) -> RateWatch:
    return RateWatch(10, limits, since_us=since_us, slack_us=slack_us)


@given(HAND_OVERS)
def test_without_a_limit_the_fullest_window_is_the_worst(hand_overs):
    seen = watch(Limits(None))

    for at, cost, took in sorted(hand_overs):
        seen.add(at, cost, at - took)

    fullest = worst_window([(at, cost) for at, cost, _ in hand_overs], length_us=10)
    assert (seen.worst.total, seen.worst.end_us) == (fullest.total, fullest.end_us)
    assert seen.total == sum(cost for _, cost, _ in hand_overs)


@given(HAND_OVERS, st.integers(1, 6), st.integers(1, 6), st.integers(0, 200))
def test_the_excess_is_the_greatest_of_any_window(hand_overs, first, second, changed):
    limits = Limits(first, ((changed, second),))
    seen = watch(limits)

    for at, cost, took in sorted(hand_overs):
        seen.add(at, cost, at - took)

    excess = 0
    for end, _, _ in hand_overs:
        inside = [one for one in hand_overs if end - 10 < one[0] <= end]
        claimed = max(at - took for at, _, took in inside)
        limit = second if claimed >= changed else first
        excess = max(excess, sum(cost for _, cost, _ in inside) - limit)
    assert seen.worst.excess == excess


def test_a_claim_that_has_left_the_window_does_not_tell_its_limit():
    seen = watch(Limits(5, ((1, 9),)))

    seen.add(1, 1, 1)
    seen.add(12, 6, 0)  # claimed first, under the limit of then, and handed over last

    assert seen.worst == JudgedWindow(total=6, end_us=12, limit=5)


def test_a_small_window_over_its_limit_is_worse_than_a_full_one_within_it():
    seen = watch(Limits(5, ((100, 1),)))

    for at in (1, 2, 3, 4, 5, 101, 102):
        seen.add(at, 1, at)

    assert seen.worst == JudgedWindow(total=2, end_us=102, limit=1)


def test_windows_that_end_before_the_time_looked_at_are_not_judged_but_reach_into_it():
    seen = watch(Limits(2), since_us=10)

    for at in (1, 2, 3, 11, 12):
        seen.add(at, 1, at)

    assert seen.total == 2
    assert seen.worst == JudgedWindow(total=3, end_us=11, limit=2)  # 2, 3 and 11


def test_a_claim_just_after_a_lowered_limit_may_stand_beside_one_just_before():
    lowered = Limits(3, ((20, 1),))
    strict, fair = watch(lowered), watch(lowered, slack_us=5)

    for seen in (strict, fair):
        for at, claimed in ((21, 18), (22, 19), (23, 21)):
            seen.add(at, 1, claimed)

    assert strict.worst.excess == 2
    assert fair.worst.excess == 0


@pytest.mark.parametrize(
    ("since", "until", "limit"),
    [
        pytest.param(0, 5, 4, id="before any change"),
        pytest.param(0, 10, 9, id="up to the moment of a raise"),
        pytest.param(10, 19, 9, id="between two changes"),
        pytest.param(15, 25, 9, id="across a lowering the greater"),
        pytest.param(20, 25, 2, id="from the moment of a lowering"),
        pytest.param(25, 35, None, id="across a removal none"),
        pytest.param(41, 50, 6, id="after it was set again"),
    ],
)
def test_of_a_limit_that_changed_the_greatest_counts(since, until, limit):
    limits = Limits(4, ((10, 9), (20, 2), (30, None), (40, 6)))

    assert limits.greatest(since, until) == limit


@pytest.mark.parametrize(
    ("limits", "ever"),
    [
        pytest.param(Limits(5), True, id="from the first"),
        pytest.param(Limits(None, ((9, 5),)), True, id="since a change"),
        pytest.param(Limits(None, ((9, None),)), False, id="never"),
    ],
)
def test_a_budget_is_known_to_have_had_a_limit(limits, ever):
    assert limits.ever is ever
