"""When a backlog will be sent."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from worker.core.forecast import expected_end
from worker.core.plan import Plan

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
WORKING_HOURS = Plan(frozenset({1, 2, 3, 4, 5}), time(9), time(17), ZoneInfo("UTC"))


def test_without_a_plan_it_takes_as_long_as_the_cadence_says():
    assert expected_end(NOON, 300, 100, HOUR, None) == NOON + 3 * HOUR


def test_it_ends_within_the_present_run_if_there_is_time():
    assert expected_end(NOON, 300, 100, HOUR, WORKING_HOURS) == NOON + 3 * HOUR


def test_what_does_not_fit_goes_on_with_the_next_run():
    tuesday = datetime(2026, 3, 3, 9, tzinfo=UTC)

    assert expected_end(NOON, 700, 100, HOUR, WORKING_HOURS) == tuesday + 2 * HOUR


def test_outside_a_run_nothing_goes_before_the_next():
    saturday = datetime(2026, 3, 7, 12, tzinfo=UTC)

    end = expected_end(saturday, 100, 100, HOUR, WORKING_HOURS)

    assert end == datetime(2026, 3, 9, 10, tzinfo=UTC)


def test_beyond_the_week_that_a_plan_shows_nothing_is_foretold():
    assert expected_end(NOON, 1_000_000, 100, HOUR, WORKING_HOURS) is None


def test_runs_that_overlap_are_not_counted_twice():
    always = Plan(frozenset(range(1, 8)), time(6), time(5), ZoneInfo("UTC"))
    twice = Plan(frozenset(range(1, 8)), time(6), time(6), ZoneInfo("UTC"))

    assert expected_end(NOON, 2300, 100, HOUR, twice) == NOON + 23 * HOUR
    assert expected_end(NOON, 2300, 100, HOUR, always) == NOON + 24 * HOUR
