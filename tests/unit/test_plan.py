"""When an automatic task may send: days, hours, midnight, and the two odd Sundays of the year."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.plan import Plan, make_plan, next_start, open_until

BRATISLAVA = ZoneInfo("Europe/Bratislava")
WORKDAYS = frozenset({1, 2, 3, 4, 5})
EVERY_DAY = frozenset(range(1, 8))
INSTANT = timedelta(microseconds=1)

OFFICE = Plan(WORKDAYS, time(8), time(16), BRATISLAVA)
NIGHT = Plan(WORKDAYS, time(22), time(6), BRATISLAVA)


def here(text):
    """A local time in Bratislava, as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=BRATISLAVA).astimezone(UTC)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("plan", "now", "until"),
    [
        pytest.param(OFFICE, "2026-03-02 08:00", "2026-03-02 16:00", id="from the very start"),
        pytest.param(OFFICE, "2026-03-02 07:59:59.999999", None, id="not a moment earlier"),
        pytest.param(OFFICE, "2026-03-02 16:00", None, id="the end is no longer within"),
        pytest.param(OFFICE, "2026-03-07 10:00", None, id="not on a Saturday"),
        pytest.param(NIGHT, "2026-03-02 23:00", "2026-03-03 06:00", id="before midnight"),
        pytest.param(NIGHT, "2026-03-03 05:00", "2026-03-03 06:00", id="and after it"),
        pytest.param(NIGHT, "2026-03-07 05:00", "2026-03-07 06:00", id="Friday's run on Saturday"),
        pytest.param(NIGHT, "2026-03-02 05:00", None, id="Sunday starts none for Monday"),
    ],
)
def test_a_task_sends_within_its_days_and_hours(plan, now, until):
    assert open_until(plan, here(now)) == (here(until) if until else None)


@pytest.mark.parametrize(
    ("plan", "now", "start"),
    [
        pytest.param(OFFICE, "2026-03-02 07:00", "2026-03-02 08:00", id="later today"),
        pytest.param(OFFICE, "2026-03-02 08:00", "2026-03-03 08:00", id="strictly later"),
        pytest.param(OFFICE, "2026-03-06 17:00", "2026-03-09 08:00", id="after the weekend"),
        pytest.param(NIGHT, "2026-03-03 05:00", "2026-03-03 22:00", id="during the run before"),
    ],
)
def test_the_next_run_starts_on_the_next_day_that_has_one(plan, now, start):
    assert next_start(plan, here(now)) == here(start)


def test_a_task_without_a_plan_always_sends():
    assert open_until(None, here("2026-03-02 03:00")) == datetime.max.replace(tzinfo=UTC)


def test_equal_hours_mean_the_whole_day_and_night():
    plan = Plan(EVERY_DAY, time(9), time(9), BRATISLAVA)

    for moment in ("2026-03-02 08:59:59", "2026-03-02 09:00", "2026-03-02 23:59"):
        assert open_until(plan, here(moment)) is not None


def test_a_plan_of_one_day_a_week_starts_a_week_later():
    mondays = Plan(frozenset({1}), time(8), time(9), BRATISLAVA)

    assert next_start(mondays, here("2026-03-02 08:00")) == here("2026-03-09 08:00")


def test_a_start_that_summer_time_skips_is_an_hour_later():
    # On 29 March 2026 the clocks go from 2:00 to 3:00, at 1:00 UTC.
    plan = Plan(EVERY_DAY, time(2, 30), time(5), BRATISLAVA)

    assert next_start(plan, utc("2026-03-28 12:00")) == utc("2026-03-29 01:30")
    assert open_until(plan, utc("2026-03-29 01:30")) == utc("2026-03-29 03:00")


def test_a_start_that_happens_twice_in_autumn_counts_the_first_time():
    # On 25 October 2026 the clocks go from 3:00 back to 2:00, at 1:00 UTC.
    plan = Plan(EVERY_DAY, time(2, 30), time(5), BRATISLAVA)

    assert next_start(plan, utc("2026-10-24 12:00")) == utc("2026-10-25 00:30")
    assert open_until(plan, utc("2026-10-25 00:30")) == utc("2026-10-25 04:00")


@pytest.mark.parametrize(
    ("evening", "hours"),
    [
        pytest.param("2026-03-27 22:00", 8, id="an ordinary night"),
        pytest.param("2026-03-28 22:00", 7, id="the night in which an hour is missing"),
        pytest.param("2026-10-24 22:00", 9, id="the night that has one more"),
    ],
)
def test_a_night_ends_by_the_clock_on_the_wall_whatever_its_length(evening, hours):
    plan = Plan(EVERY_DAY, time(22), time(6), BRATISLAVA)
    start = here(evening)

    assert open_until(plan, start) == start + timedelta(hours=hours)


def test_a_run_wholly_within_the_missing_hour_is_an_hour_later():
    plan = Plan(EVERY_DAY, time(2, 10), time(2, 40), BRATISLAVA)

    assert open_until(plan, utc("2026-03-29 01:10")) == utc("2026-03-29 01:40")


def test_a_run_whose_end_falls_before_its_late_start_is_left_out_that_night():
    plan = Plan(EVERY_DAY, time(2, 30), time(3, 0), BRATISLAVA)
    start = next_start(plan, utc("2026-03-28 12:00"))

    assert open_until(plan, start) is None
    assert next_start(plan, start) == utc("2026-03-30 00:30")


def test_the_company_s_day_is_meant_and_not_that_of_utc():
    mondays = Plan(frozenset({1}), time(0), time(1), BRATISLAVA)

    # Sunday 23:30 in UTC is Monday 0:30 in Bratislava.
    assert open_until(mondays, utc("2026-03-01 23:30")) == utc("2026-03-02 00:00")


MINUTES = st.times().map(lambda at: at.replace(second=0, microsecond=0))
PLANS = st.builds(
    Plan,
    st.frozensets(st.integers(1, 7), min_size=1),
    MINUTES,
    MINUTES,
    st.sampled_from(["Europe/Bratislava", "UTC", "Pacific/Auckland", "America/St_Johns"]).map(
        ZoneInfo
    ),
)
MOMENTS = st.timedeltas(timedelta(0), timedelta(days=730)).map(
    lambda since: datetime(2026, 1, 1, tzinfo=UTC) + since
)


@given(PLANS, MOMENTS)
def test_every_plan_has_a_next_start_within_eight_days(plan, now):
    start = next_start(plan, now)

    assert now < start <= now + timedelta(days=8)
    assert start.astimezone(plan.zone).isoweekday() in plan.days


@given(PLANS, MOMENTS)
def test_an_open_run_is_shut_at_its_end_or_another_goes_on(plan, now):
    until = open_until(plan, now)

    if until is None:
        return
    assert now < until <= now + timedelta(hours=25)
    assert open_until(plan, until - INSTANT) is not None


@given(PLANS, MOMENTS)
def test_between_two_runs_nothing_opens_before_the_next_start(plan, now):
    if open_until(plan, now) is not None:
        return
    start = next_start(plan, now)

    for share in (0.0, 0.25, 0.5, 0.999):
        assert open_until(plan, now + (start - now) * share) is None


def test_a_plan_is_made_of_what_an_automatic_task_has():
    assert make_plan([1, 2, 3, 4, 5], time(8), time(16), "Europe/Bratislava") == OFFICE
