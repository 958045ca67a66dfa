"""When a webhook is told again, left alone, or disabled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from settings import Settings
from worker.core.webhook_retry import (
    JITTER,
    PATIENCE,
    QUIET_LONGEST,
    RETRY_AFTER_LONGEST,
    WAITS,
    Answer,
    decide,
    quiet_after,
    read_retry_after,
    read_status,
    wait_after,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAYS = timedelta(days=5)
FAILED = Answer(500, "HTTP 500")


def after(answer=FAILED, attempts=1, failures=1, since=NOW, jitter=0.0):
    return decide(answer, attempts, failures, since, NOW, DAYS, jitter)


def test_an_event_is_told_again_until_the_waits_are_used_up():
    ats = [after(attempts=number).at for number in range(1, len(WAITS) + 2)]

    assert ats == [NOW + wait for wait in WAITS] + [None]


def test_the_waits_outlast_the_time_after_which_a_webhook_is_disabled():
    patience = timedelta(days=Settings().webhook_disable_days)

    assert sum(WAITS, timedelta(0)) > patience


def test_what_failed_together_comes_apart():
    assert wait_after(1, 0.0) == WAITS[0]
    assert wait_after(1, 1.0) == WAITS[0] * (1 + JITTER)


@pytest.mark.parametrize(
    ("failures", "quiet"),
    [(PATIENCE - 1, 0), (PATIENCE, 5), (PATIENCE + 1, 10), (10**6, QUIET_LONGEST.seconds)],
    ids=["an event's own", "a receiver's", "and again", "for long"],
)
def test_a_receiver_that_fails_again_and_again_is_left_alone(failures, quiet):
    assert quiet_after(failures) == timedelta(seconds=quiet)
    until = after(failures=failures).quiet_until
    assert until == (NOW + timedelta(seconds=quiet) if quiet else None)


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_asks_for_time_gets_it(status):
    answer = read_status(status, "600", NOW)

    following = after(answer)

    assert following.at == following.quiet_until == NOW + timedelta(minutes=10)


def test_a_receiver_that_asks_for_less_than_its_wait_gets_its_wait():
    assert after(read_status(503, "1", NOW), attempts=4).at == NOW + WAITS[3]


def test_only_a_receiver_without_room_may_ask_for_time():
    assert read_status(500, "600", NOW).retry_after is None


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        pytest.param("90", timedelta(seconds=90), id="seconds"),
        pytest.param("Sun, 01 Mar 2026 12:01:30 GMT", timedelta(seconds=90), id="a date"),
        pytest.param("Sun, 01 Mar 2026 12:01:30 -0000", timedelta(seconds=90), id="no zone"),
        pytest.param("Sun, 01 Mar 2026 11:00:00 GMT", timedelta(0), id="a date in the past"),
        pytest.param("999999999999999", RETRY_AFTER_LONGEST, id="for ever"),
        pytest.param("Sun, 01 Mar 2076 11:00:00 GMT", RETRY_AFTER_LONGEST, id="in fifty years"),
        pytest.param("-5", None, id="less than nothing"),
        pytest.param("soon", None, id="no time"),
        pytest.param("٣", None, id="digits of another script"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_the_time_a_receiver_asks_for_is_read_in_both_forms(value, wait):
    assert read_retry_after(value, NOW) == wait


@pytest.mark.parametrize(
    ("status", "taken"),
    [(200, True), (204, True), (299, True), (301, False), (400, False), (404, False), (500, False)],
)
def test_only_success_has_taken_it(status, taken):
    assert read_status(status, None, NOW).is_taken is taken


def test_a_receiver_that_is_gone_is_disabled_at_once():
    assert "410" in str(after(read_status(410, None, NOW)).disable)


def test_a_receiver_that_fails_for_days_is_disabled():
    nearly = NOW - DAYS + timedelta(seconds=1)

    assert after(since=nearly, failures=900).disable is None
    assert after(since=NOW - DAYS, failures=900).disable == (
        "it has failed since 2026-02-24 12:00 UTC"
    )


def test_a_receiver_that_was_never_reached_has_no_status():
    following = after(Answer(None, "no connection"), attempts=2)

    assert (following.at, following.disable) == (NOW + WAITS[1], None)
