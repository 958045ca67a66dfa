"""What delivery reports make of segments, and segments of an SMS."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.sms_merge import Segment, State, Whole, merge_message, merge_segment
from worker.core.sms_reports import DELIVERY_STATUSES, Report

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FINAL = ["UNDELIV", "EXPIRED", "REJECTD", "DELETED"]
OPEN = ["ENROUTE", "ACCEPTD", "ENQUEUED", "PENDING", ""]
CENTS = Decimal("0.031")


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def said(status, minutes=None, **more):
    """A report of a status reached some minutes after noon."""
    values = {
        "uuid": "a",
        "own_key": None,
        "number": None,
        "segment": 1,
        "done_at": None if minutes is None else at(minutes),
        "sent_at": None,
        "operator": None,
        "price": None,
        "err_code": "OK",
        **more,
    }
    return Report(status=status, **values)


def merged(*reports):
    return reduce(merge_segment, reports, Segment())


def whole(*statuses, expected=None):
    segments = [Segment() if one is None else merged(said(one, 1)) for one in statuses]
    return merge_message(segments, len(statuses) if expected is None else expected)


MOMENTS = st.none() | st.integers(0, 9).map(at)
REPORTS = st.builds(
    said,
    st.sampled_from([*DELIVERY_STATUSES, "PENDING", "PAUSED", ""]),
    st.none() | st.integers(0, 9),
    sent_at=MOMENTS,
    operator=st.sampled_from([None, "231.1", "231.2"]),
    price=st.sampled_from([None, CENTS, Decimal("0.04")]),
)


@given(st.data())
def test_order_and_repetition_of_reports_change_nothing(data):
    reports = data.draw(st.lists(REPORTS, max_size=6))
    again = data.draw(st.permutations(reports + reports[: len(reports) // 2]))

    assert merged(*again) == merged(*reports)


@given(st.lists(REPORTS, max_size=6))
def test_the_past_never_comes_back(reports):
    known = merged(*reports)

    assert all(merge_segment(known, report) == known for report in reports)


@pytest.mark.parametrize("final", [*FINAL, "DELIVRD", "UNKNOWN", "SEEN"])
@pytest.mark.parametrize("late", OPEN)
def test_a_later_word_that_is_not_final_never_replaces_a_final_one(final, late):
    assert merged(said(final, 1), said(late, 2)).status == final
    assert merged(said(late, 2), said(final, 1)).status == final


@pytest.mark.parametrize("failed", [*FINAL, "UNKNOWN"])
def test_what_was_delivered_stays_delivered(failed):
    segment = merged(said("DELIVRD", 1), said(failed, 2))

    assert (segment.status, segment.delivered_at) == ("DELIVRD", at(1))


@pytest.mark.parametrize("final", [*FINAL, "DELIVRD", "SEEN"])
def test_unknown_gives_way_to_every_other_final_word(final):
    assert merged(said("UNKNOWN", 2), said(final, 1)).status == final


def test_of_two_failures_the_later_counts_and_of_two_open_words_as_well():
    assert merged(said("EXPIRED", 2), said("REJECTD", 1)).status == "EXPIRED"
    assert merged(said("ENROUTE", 1), said("ACCEPTD", 2)).status == "ACCEPTD"


def test_what_was_read_was_delivered():
    segment = merged(said("SEEN", 5), said("DELIVRD", 3))

    assert (segment.status, segment.delivered_at, segment.read_at) == ("SEEN", at(3), at(5))
    assert merge_message([segment], 1).state is State.DELIVERED


def test_a_reading_without_a_delivery_tells_of_both():
    found = merge_message([merged(said("SEEN", 5))], 1)

    assert (found.state, found.delivered_at, found.read_at) == (State.DELIVERED, at(5), at(5))


@pytest.mark.parametrize(
    ("statuses", "state", "status"),
    [
        pytest.param([None, None], State.OPEN, None, id="nothing was reported"),
        pytest.param([], State.OPEN, None, id="nothing is known"),
        pytest.param(["ENROUTE", None], State.SENT, "ENROUTE", id="one report proves that it went"),
        pytest.param(["", None], State.SENT, None, id="even one without a word"),
        pytest.param(["DELIVRD", "DELIVRD"], State.DELIVERED, "DELIVRD", id="all delivered"),
        pytest.param(["DELIVRD", "SEEN"], State.DELIVERED, "SEEN", id="delivered and read"),
        pytest.param(["DELIVRD", None], State.SENT, "DELIVRD", id="one was not heard of"),
        pytest.param(["UNDELIV", "ENROUTE"], State.SENT, "ENROUTE", id="one failed, one is open"),
        pytest.param(["DELIVRD", "EXPIRED"], State.UNDELIVERED, "EXPIRED", id="one failed"),
        pytest.param(["UNKNOWN", "REJECTD"], State.UNDELIVERED, "REJECTD", id="both failed"),
        pytest.param(["PENDING"], State.SENT, "PENDING", id="a word that is not attested"),
    ],
)
def test_segments_make_one_honest_state(statuses, state, status):
    found = whole(*statuses)

    assert (found.state, found.status) == (state, status)


def test_a_segment_that_is_missing_is_open():
    assert whole("DELIVRD", expected=2).state is State.SENT
    assert whole("UNDELIV", expected=2).state is State.SENT
    assert whole("DELIVRD", "DELIVRD", expected=1).state is State.DELIVERED


def test_times_operator_and_prices_are_those_of_all_segments():
    first = merged(said("DELIVRD", 4, sent_at=at(1), operator="231.1", price=CENTS))
    second = merged(said("DELIVRD", 6, sent_at=at(2), price=CENTS))

    assert merge_message([first, second], 2) == Whole(
        state=State.DELIVERED,
        status="DELIVRD",
        sent_at=at(1),
        delivered_at=at(6),
        operator="231.1",
        price=2 * CENTS,
    )


def test_there_is_no_time_of_delivery_before_all_are_delivered():
    assert whole("DELIVRD", "UNDELIV").delivered_at is None
