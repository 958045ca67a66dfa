"""The judge of SMS sees what breaks a promise."""

from __future__ import annotations

import pytest

from tests.faults.sms_town import Accepted
from tests.faults.sms_verdict import SmsVerdict, ends_of


def accepted(*statuses, key="a"):
    """An SMS with a segment for each of these last statuses."""
    segments = [{"changes": [[1.0, "ENROUTE"], [2.0, status]]} for status in statuses]
    return Accepted({"key": key, "at": 1.0, "price": 29, "segments": segments})


@pytest.mark.parametrize(
    ("statuses", "end"),
    [
        pytest.param(("DELIVRD",), "delivered", id="delivered"),
        pytest.param(("DELIVRD", "SEEN"), "delivered", id="read is delivered"),
        pytest.param(("DELIVRD", "UNDELIV"), "undelivered", id="one segment is not"),
        pytest.param(("UNKNOWN",), "undelivered", id="an error without a name"),
        pytest.param(("DELIVRD", "ACCEPTD"), "sent", id="one segment is open"),
    ],
)
def test_an_sms_must_be_shown_as_the_gateway_has_it_at_last(statuses, end):
    assert accepted(*statuses).end == end


def test_an_sms_that_was_accepted_twice_is_delivered_if_one_of_them_is():
    assert ends_of([accepted("DELIVRD"), accepted("UNDELIV")]) == {"a": {"delivered"}}
    assert ends_of([accepted("UNDELIV"), accepted("DELIVRD")]) == {"a": {"delivered"}}
    assert ends_of([accepted("ACCEPTD"), accepted("UNDELIV")]) == {"a": {"undelivered"}}


def test_a_report_that_is_lost_breaks_a_promise_as_a_doubled_sms_does():
    kept = SmsVerdict("a fault", messages=10, unknown=2, allowed=2, settled=1, held=1)

    assert kept.broken == []
    assert SmsVerdict("a fault", unreported=1).broken == ["1 reports lost"]
    assert SmsVerdict("a fault", doubled=1).broken == ["1 doubled"]


def test_runs_of_one_fault_are_added_up():
    one = SmsVerdict("a fault", messages=10, unknown=2, allowed=2, settled=1, held=1, worst=0.9)
    other = SmsVerdict("a fault", messages=5, unreported=1, worst=1.0)

    both = one.plus(other)

    assert (both.runs, both.messages, both.settled, both.held) == (2, 15, 1, 1)
    assert (both.unreported, both.worst) == (1, 1.0)
