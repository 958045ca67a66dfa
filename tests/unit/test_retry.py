"""What becomes of a message after an attempt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.outcomes import Outcome
from worker.core.retry import Decision, Next, RetryPolicy, backoff, decide, resend_unknown

POLICY = RetryPolicy(first=timedelta(minutes=1), longest=timedelta(hours=1), most_attempts=5)
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
SPANS = st.timedeltas(timedelta(milliseconds=1), timedelta(days=365))
JITTERS = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("attempts", [1, 4, 5, 6])
def test_a_lost_answer_is_never_retried_whatever_the_attempts_left(attempts):
    assert decide(Outcome.UNKNOWN, attempts, POLICY, NOW, LATER, 0.5) == Decision(Next.PARK)


@pytest.mark.parametrize("attempts", [1, 5, 99])
def test_an_accepted_message_is_done_even_past_its_expiry(attempts):
    assert decide(Outcome.ACCEPTED, attempts, POLICY, NOW, NOW, 0.5) == Decision(Next.DONE)


def test_a_refusal_for_good_is_final_at_the_first_attempt():
    assert decide(Outcome.REJECTED, 1, POLICY, NOW, LATER, 0.5) == Decision(Next.GIVE_UP)


@pytest.mark.parametrize(
    ("attempts", "minutes"),
    [
        pytest.param(1, 1, id="the first retry waits the first interval"),
        pytest.param(2, 2, id="the second twice that"),
        pytest.param(4, 8, id="the fourth eight times"),
    ],
)
def test_a_deferred_message_waits_twice_as_long_each_time(attempts, minutes):
    soonest = decide(Outcome.DEFERRED, attempts, POLICY, NOW, LATER, jitter=0)
    latest = decide(Outcome.DEFERRED, attempts, POLICY, NOW, LATER, jitter=0.999)

    assert soonest == Decision(Next.RETRY, NOW + timedelta(minutes=minutes) / 2)
    assert latest.next is Next.RETRY
    assert soonest.at < latest.at < NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize("attempts", [5, 6, 10**9])
def test_a_deferred_message_is_given_up_at_its_last_attempt(attempts):
    assert decide(Outcome.DEFERRED, attempts, POLICY, NOW, LATER, 0) == Decision(Next.GIVE_UP)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(31, Next.RETRY, id="a moment is left after the wait"),
        pytest.param(30, Next.EXPIRE, id="it would expire at that very moment"),
        pytest.param(-1, Next.EXPIRE, id="it expired long ago"),
    ],
)
def test_a_retry_past_the_expiry_is_no_retry(seconds, expected):
    expires_at = NOW + timedelta(seconds=seconds)

    assert decide(Outcome.DEFERRED, 1, POLICY, NOW, expires_at, jitter=0).next is expected


def test_an_absurd_number_of_attempts_still_waits_the_longest_interval():
    patient = RetryPolicy(timedelta(days=1), timedelta(days=2), most_attempts=10**9)

    decision = decide(Outcome.DEFERRED, 10**6, patient, NOW, NOW + timedelta(days=9), jitter=0)

    assert decision.at == NOW + timedelta(days=1)


@given(st.integers(-5, 10**9), SPANS, SPANS, JITTERS)
def test_a_wait_lies_between_half_its_ceiling_and_the_whole(attempts, first, longest, jitter):
    wait = backoff(attempts, first, longest, jitter)

    assert min(first, longest) / 2 <= wait + timedelta(microseconds=1)
    assert wait <= longest


@pytest.mark.parametrize(
    ("policy", "unknowns", "expires_at", "resent"),
    [
        pytest.param("hold", 1, LATER, False, id="by default a person decides"),
        pytest.param("resend", 1, LATER, True, id="the policy may decide, once"),
        pytest.param("resend", 2, LATER, False, id="a second unknown is held"),
        pytest.param("resend", 1, NOW, False, id="nothing is resent at its expiry"),
    ],
)
def test_an_unknown_message_is_resent_at_most_once_and_never_too_late(
    policy, unknowns, expires_at, resent
):
    assert resend_unknown(policy, unknowns, NOW, expires_at) is resent
