"""How a refusing SMTP account is left alone, and tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from worker.core.breaker import FIRST, LONGEST, connections, open_for

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("failures", "until", "expected"),
    [
        pytest.param(0, None, 4, id="never refused: all connections"),
        pytest.param(3, NOW + INSTANT, 0, id="until the wait is over: none"),
        pytest.param(3, NOW, 1, id="at its end: one, to try"),
        pytest.param(3, None, 1, id="failures without a wait: one, to try"),
        pytest.param(0, NOW - INSTANT, 4, id="after a success: all again"),
        pytest.param(0, NOW + INSTANT, 0, id="closed by a person, without a failure: none"),
    ],
)
def test_an_account_is_tried_with_one_connection_before_all_return(failures, until, expected):
    assert connections(4, failures, until, NOW) == expected


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        pytest.param(None, 2.5, id="not asked"),
        pytest.param(1.0, 2.5, id="for less than we wait anyway"),
        pytest.param(60.0, 60.0, id="for more"),
        pytest.param(1e30, 300.0, id="for ever"),
    ],
)
def test_whoever_asks_us_to_wait_is_heeded_within_reason(asked, seconds):
    assert open_for(1, jitter=0.0, asked=asked) == timedelta(seconds=seconds)


def test_an_account_without_connections_stays_without():
    assert connections(0, 0, None, NOW) == 0


def test_each_failure_in_a_row_doubles_the_wait_up_to_the_longest():
    waits = [open_for(failures, jitter=0) for failures in range(1, 12)]

    assert waits[:3] == [FIRST / 2, FIRST, FIRST * 2]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST / 2


def test_a_server_that_is_down_for_years_is_still_asked_every_few_minutes():
    assert open_for(10**9, jitter=0.999) <= LONGEST
