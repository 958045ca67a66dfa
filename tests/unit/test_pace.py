"""The pace: how sending is spread over an hour."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.pace import Pace, admit, open_slots, pace_of, slots_open_at

HOUR_US = 3_600_000_000
NOW_US = 1_800_000_000_000_000

PACES = st.builds(Pace, st.integers(1, HOUR_US), st.integers(1, 50))
TATS = st.integers(0, NOW_US + HOUR_US)


@pytest.mark.parametrize(
    ("interval_us", "burst"),
    [
        pytest.param(0, 1, id="no interval"),
        pytest.param(1, 0, id="no burst"),
        pytest.param(-1, -1, id="less than nothing"),
    ],
)
def test_a_pace_without_interval_or_burst_is_refused(interval_us, burst):
    with pytest.raises(ValueError, match="at least 1"):
        Pace(interval_us, burst)


@pytest.mark.parametrize(
    ("limit", "window_us", "burst_us", "pace"),
    [
        pytest.param(100, HOUR_US, 10_000_000, Pace(36_000_000, 1), id="the slowest cadence"),
        pytest.param(3000, HOUR_US, 10_000_000, Pace(1_200_000, 8), id="the fastest cadence"),
        pytest.param(7, 100, 0, Pace(14, 1), id="a pace is never slower than its cadence"),
        pytest.param(10**12, HOUR_US, 5, Pace(1, 5), id="more than one a microsecond"),
    ],
)
def test_a_cadence_is_spread_evenly_over_its_window(limit, window_us, burst_us, pace):
    assert pace_of(limit, window_us, burst_us) == pace


def test_a_cadence_of_100_lets_one_e_mail_go_each_36_seconds():
    pace = pace_of(100, HOUR_US, 10_000_000)

    first = admit(0, NOW_US, pace)
    too_soon = admit(first.tat_us, NOW_US + 35_999_999, pace)
    second = admit(first.tat_us, NOW_US + 36_000_000, pace)

    assert (first.allowed, too_soon.allowed, second.allowed) == (True, False, True)
    assert too_soon.wait_us == 1


def test_a_message_larger_than_the_burst_goes_only_when_the_pace_is_idle():
    pace = Pace(interval_us=10, burst=2)

    busy = admit(tat_us=NOW_US + 1, now_us=NOW_US, pace=pace, cost=50)
    idle = admit(tat_us=NOW_US, now_us=NOW_US, pace=pace, cost=50)

    assert (busy.allowed, busy.wait_us) == (False, 1)
    assert (idle.allowed, idle.tat_us) == (True, NOW_US + 500)


@given(TATS, PACES, st.integers(1, 100))
def test_a_refusal_changes_nothing_and_tells_the_exact_wait(tat_us, pace, cost):
    verdict = admit(tat_us, NOW_US, pace, cost)

    if verdict.allowed:
        assert verdict.wait_us == 0
        assert verdict.tat_us == max(tat_us, NOW_US) + cost * pace.interval_us
    else:
        assert verdict.tat_us == tat_us
        assert admit(tat_us, NOW_US + verdict.wait_us, pace, cost).allowed
        assert not admit(tat_us, NOW_US + verdict.wait_us - 1, pace, cost).allowed


@given(TATS, PACES)
def test_as_many_go_one_by_one_as_slots_are_open(tat_us, pace):
    slots = open_slots(tat_us, NOW_US, pace)

    for _ in range(slots):
        verdict = admit(tat_us, NOW_US, pace)
        assert verdict.allowed
        tat_us = verdict.tat_us
    assert not admit(tat_us, NOW_US, pace).allowed


@given(st.integers(HOUR_US * 50, NOW_US), PACES, st.integers(1, 60))
def test_slots_are_open_from_the_moment_foretold_and_not_before(tat_us, pace, slots):
    at_us = slots_open_at(tat_us, slots, pace)

    wanted = min(slots, pace.burst)
    assert open_slots(tat_us, at_us, pace) >= wanted
    assert open_slots(tat_us, at_us - 1, pace) < wanted
    assert admit(tat_us, at_us, pace, wanted).allowed
    assert not admit(tat_us, at_us - 1, pace, wanted).allowed


@given(PACES, st.lists(st.tuples(st.integers(0, HOUR_US // 100), st.integers(1, 5)), max_size=60))
def test_no_stretch_lets_more_through_than_its_length_and_one_burst(pace, asked):
    now_us, tat_us, passed = NOW_US, 0, []
    for pause_us, cost in asked:
        now_us += pause_us
        cost = min(cost, pace.burst)
        verdict = admit(tat_us, now_us, pace, cost)
        if verdict.allowed:
            tat_us = verdict.tat_us
            passed.append((now_us, cost))

    for first, (start_us, _) in enumerate(passed):
        for last in range(first, len(passed)):
            length_us = passed[last][0] - start_us
            total = sum(cost for _, cost in passed[first : last + 1])
            assert total <= pace.burst + length_us / pace.interval_us
