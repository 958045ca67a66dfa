"""The judge sees what breaks a promise."""

from __future__ import annotations

import pytest

from tests.faults.ground import DOT_BY_SECONDS, Limit
from tests.faults.verdict import Verdict, share_of_limit

SECOND = 1_000_000
WINDOW = 6 * SECOND


def dots(*seconds):
    return [(round(second * SECOND), 1) for second in seconds]


def test_one_more_than_the_limit_within_a_window_is_seen():
    limits = [Limit("task", "main", 3)]

    assert share_of_limit(dots(0, 2, 4, 6.1), limits, WINDOW) == 1
    assert share_of_limit(dots(0, 2, 4, 5.9), limits, WINDOW) > 1


def test_a_lowered_limit_counts_once_no_permit_of_the_old_one_can_be_left():
    limits = [Limit("task", "main", 4), Limit("task", "main", 2, since_us=10 * SECOND)]
    late = 10 + DOT_BY_SECONDS

    assert share_of_limit(dots(8, 9, 10.5, 11), limits, WINDOW) == 1
    assert share_of_limit(dots(late - 4, late - 3, late + 0.1), limits, WINDOW) > 1


def test_a_raised_limit_counts_at_once():
    limits = [Limit("task", "main", 2), Limit("task", "main", 4, since_us=10 * SECOND)]

    assert share_of_limit(dots(9, 9.5, 10.5, 11), limits, WINDOW) == 1


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"lost": 1}, id="lost"),
        pytest.param({"doubled": 1}, id="doubled"),
        pytest.param({"unknown": 2, "allowed": 1}, id="more unknown than the fault explains"),
        pytest.param({"worst": 1.01}, id="over the limit"),
        pytest.param({"resumed": 61.0}, id="never sending"),
        pytest.param({"wrong": ["3 still on their way"]}, id="records that do not agree"),
    ],
)
def test_each_promise_is_broken_by_itself(columns):
    kept = {"messages": 10, "unknown": 1, "allowed": 1, "worst": 1.0, "resumed": 60.0}

    assert Verdict("a fault", **kept).broken == []
    assert len(Verdict("a fault", **{**kept, **columns}).broken) == 1
