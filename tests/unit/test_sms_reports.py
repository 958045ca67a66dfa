"""Delivery reports and inbound SMS, as EuroSMS writes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.sms_reports import (
    DELIVERY_STATUSES,
    Inbound,
    Meaning,
    Report,
    delivery_status,
    read_inbound,
    read_push,
    read_reports,
    read_status_one,
)

ZONE = ZoneInfo("Europe/Bratislava")
UUID = "e58e883f-4518-5ed7-b169-9e346f78503d"

EXPIRED = {
    "rcpt": 421902589458,
    "carrier": "231.2",
    "dlr_time": "2017-11-28 12:22:02",
    "f": None,
    "price": 0.032,
    "snd": "2017-11-28 12:22:03",
    "i": UUID,
    "sgmnt": 1,
    "dlr": "EXPIRED",
}
FLAT = (
    b'{"rcpt":421900123456,"carrier":"231.1","dlr_time":"2019-07-16 08:48:00","price":0.029,'
    b'"snd":"2019-07-16 08:48:49","i":"CDEF60D8-4518-5ed7-b169-9e346f78503d","err_code":"OK",'
    b'"sgmnt":1,"dlr":"DELIVRD"}'
)
PUSH = {
    "sent_result": "OK",
    "sent_time": "2019-01-15 12:20:13",
    "delivery_result": "DELIVRD",
    "delivery_time": "2019-01-15 12:20:22",
    "operator": "231.1",
    "price": "0.031",
    "sms_uuid": "60c525e2-b28a-4e92-9a0f-58dacfa23a86",
    "segment": "1",
}


def report_of(**changes: object) -> Report:
    """The one report of an answer whose one entry has these values."""
    body = json.dumps({"dlrs": [{**EXPIRED, **changes}], "count": 1, "err_code": "OK"})
    (report,) = read_reports(body.encode(), ZONE).reports
    return report


@pytest.mark.parametrize(
    ("code", "meaning", "final"),
    [
        ("ENROUTE", Meaning.OPEN, False),
        ("ACCEPTD", Meaning.OPEN, False),
        ("ENQUEUED", Meaning.OPEN, False),
        ("DELIVRD", Meaning.DELIVERED, True),
        ("UNDELIV", Meaning.UNDELIVERED, True),
        ("EXPIRED", Meaning.UNDELIVERED, True),
        ("REJECTD", Meaning.UNDELIVERED, True),
        ("DELETED", Meaning.UNDELIVERED, True),
        ("UNKNOWN", Meaning.UNDELIVERED, False),
        ("SEEN", Meaning.SEEN, False),
    ],
)
def test_a_status_means_what_the_documents_say(code, meaning, final):
    status = delivery_status(code)

    assert status is DELIVERY_STATUSES[code]
    assert (status.code, status.meaning, status.final) == (code, meaning, final)


def test_there_are_no_other_statuses():
    assert len(DELIVERY_STATUSES) == 10


def test_a_status_that_is_not_attested_is_kept_and_leaves_the_segment_open():
    status = delivery_status("PENDING")

    assert (status.code, status.meaning, status.final) == ("PENDING", Meaning.OPEN, False)


def test_a_report_is_read_in_the_zone_of_the_account():
    body = json.dumps({"dlrs": [EXPIRED], "count": 1, "err_code": "OK"}).encode()

    answer = read_reports(body, ZONE)

    assert (answer.count, answer.err_code, answer.unreadable) == (1, "OK", None)
    assert answer.reports == (
        Report(
            uuid=UUID,
            own_key=None,
            number="421902589458",
            segment=1,
            status="EXPIRED",
            done_at=datetime(2017, 11, 28, 11, 22, 2, tzinfo=UTC),
            sent_at=datetime(2017, 11, 28, 11, 22, 3, tzinfo=UTC),
            operator="231.2",
            price=Decimal("0.032"),
            err_code="",
        ),
    )


def test_nothing_new_is_an_answer_too():
    answer = read_reports(b'{"dlrs":[],"count":0,"err_code":"OK"}', ZONE)

    assert (answer.reports, answer.count, answer.unreadable) == ((), 0, None)


def test_a_refusal_to_report_has_its_word():
    answer = read_reports(b'{"err_code":"WRONG_SIGNATURE"}', ZONE)

    assert (answer.reports, answer.err_code) == ((), "WRONG_SIGNATURE")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"dlrs":[{"rcpt":4219', id="truncated"),
        pytest.param(b"<html>", id="a page"),
        pytest.param(b"[]", id="an empty list"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"count":0,"err_code":"OK"}', id="a count alone"),
        pytest.param(b'{"dlrs":null,"err_code":"ok"}', id="null for a list"),
        pytest.param(b'{"dlrs":{"0":{}},"err_code":"OK"}', id="an object for a list"),
        pytest.param(b'{"dlrs":[],"count":2,"err_code":"OK"}', id="two, and none listed"),
    ],
)
def test_what_is_no_answer_is_not_taken_for_nothing_new(body):
    assert read_reports(body, ZONE).unreadable


SHAPES = [
    pytest.param(FLAT, id="a flat object"),
    pytest.param(b"[" + FLAT + b"]", id="a bare list"),
    pytest.param(
        b'{"i":"cdef60d8-4518-5ed7-b169-9e346f78503d","rcpt":"421900123456","carrier":231.1,'
        b'"price":"0,029","snd":"2019-07-16 08:48:49","err_code":"OK","f_id":null,'
        b'"dlrs":[{"sgmnt":"1","dlr":"delivrd","dlr_time":"2019-07-16 08:48"}]}',
        id="common fields and a list",
    ),
]


@pytest.mark.parametrize("body", SHAPES)
def test_the_status_of_one_segment_is_read_in_each_of_its_shapes(body):
    answer = read_status_one(body, ZONE)

    assert answer.unreadable is None
    assert answer.reports == (
        Report(
            uuid="cdef60d8-4518-5ed7-b169-9e346f78503d",
            own_key=None,
            number="421900123456",
            segment=1,
            status="DELIVRD",
            done_at=datetime(2019, 7, 16, 6, 48, tzinfo=UTC),
            sent_at=datetime(2019, 7, 16, 6, 48, 49, tzinfo=UTC),
            operator="231.1",
            price=Decimal("0.029"),
            err_code="OK",
        ),
    )


def test_common_fields_hold_for_each_segment_that_does_not_say_otherwise():
    body = (
        b'{"i":"A1","f_id":"own","rcpt":421900123456,"err_code":"OK","dlrs":'
        b'[{"sgmnt":1,"dlr":"DELIVRD"},{"sgmnt":2,"dlr":"ENROUTE","i":"A2"}]}'
    )

    first, second = read_status_one(body, ZONE).reports

    assert (first.uuid, first.own_key, first.segment, first.status) == ("a1", "own", 1, "DELIVRD")
    assert (second.uuid, second.own_key, second.segment, second.status) == (
        "a2",
        "own",
        2,
        "ENROUTE",
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[]", id="an empty list"),
        pytest.param(b'{"dlrs":[]}', id="an object with an empty list"),
        pytest.param(b'{"err_code":"ERR_NO_SUCH_UUID"}', id="a code"),
    ],
)
def test_of_an_unknown_uuid_there_are_no_reports(body):
    answer = read_status_one(body, ZONE)

    assert (answer.reports, answer.unreadable) == ((), None)


@pytest.mark.parametrize("body", [b"", b"{}", b"7", b'{"dlr', b"<html>"])
def test_what_is_no_answer_is_not_taken_for_an_unknown_uuid(body):
    assert read_status_one(body, ZONE).unreadable


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        pytest.param("2026-01-15 12:20:22", datetime(2026, 1, 15, 11, 20, 22, tzinfo=UTC),
                     id="winter"),
        pytest.param("2026-07-15 12:20:22", datetime(2026, 7, 15, 10, 20, 22, tzinfo=UTC),
                     id="summer"),
        pytest.param("2026-07-15 12:20", datetime(2026, 7, 15, 10, 20, tzinfo=UTC),
                     id="no seconds"),
        pytest.param("2026-07-15T12:20:22.123", datetime(2026, 7, 15, 10, 20, 22, tzinfo=UTC),
                     id="a T and a fraction"),
        pytest.param("2026-10-25 02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
                     id="an hour that comes twice is the first"),
        pytest.param("2026-03-29 02:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
                     id="an hour that is left out is one later"),
        pytest.param("2026-02-30 12:00:00", None, id="no such day"),
        pytest.param("2026-01-15 24:00:00", None, id="no such hour"),
        pytest.param("0000-00-00 00:00:00", None, id="a database's nothing"),
        pytest.param("0001-01-01 00:00:00", None, id="the first of all days"),
        pytest.param("15.1.2026 12:20", None, id="another order"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="null"),
        pytest.param(1547554822, None, id="a number"),
        pytest.param(["2026-01-15 12:20:22"], None, id="a list"),
    ],
)  # fmt: skip
def test_a_time_is_read_or_is_not_stated(written, moment):
    assert report_of(dlr_time=written).done_at == moment


def test_a_time_beyond_the_calendar_is_not_stated():
    report = read_push({**PUSH, "sent_time": "9999-12-31 23:59:59"}, ZoneInfo("America/New_York"))

    assert report is not None
    assert report.sent_at is None


@pytest.mark.parametrize(
    ("field", "written", "attribute", "value"),
    [
        pytest.param("i", "V:" + UUID.upper(), "uuid", UUID, id="a uuid of Viber in capitals"),
        pytest.param("i", None, "uuid", None, id="no uuid"),
        pytest.param("f", "sms-4471", "own_key", "sms-4471", id="our key"),
        pytest.param("f", 4471, "own_key", "4471", id="a number for our key"),
        pytest.param("rcpt", "+421902589458", "number", "421902589458", id="a number with plus"),
        pytest.param("rcpt", "RZi", "number", None, id="no number"),
        pytest.param("rcpt", 1e30, "number", None, id="too long for a number"),
        pytest.param("sgmnt", "3", "segment", 3, id="a segment as a string"),
        pytest.param("sgmnt", 0, "segment", 1, id="segment nought"),
        pytest.param("sgmnt", 256, "segment", 1, id="more segments than there are"),
        pytest.param("sgmnt", None, "segment", 1, id="no segment"),
        pytest.param("sgmnt", True, "segment", 1, id="true for a segment"),
        pytest.param("dlr", " delivrd", "status", "DELIVRD", id="a status in small letters"),
        pytest.param("dlr", "Pending", "status", "PENDING", id="an unknown status"),
        pytest.param("dlr", None, "status", "", id="no status"),
        pytest.param("carrier", 231.1, "operator", "231.1", id="a network as a number"),
        pytest.param("carrier", "", "operator", None, id="no network"),
        pytest.param("price", "0.031", "price", Decimal("0.031"), id="a price as a string"),
        pytest.param("price", "0,031", "price", Decimal("0.031"), id="a decimal comma"),
        pytest.param("price", 0, "price", Decimal(0), id="free"),
        pytest.param("price", "0.02945", "price", Decimal("0.0295"), id="a price to be rounded"),
        pytest.param("price", "1E-999999", "price", Decimal(0), id="a price no database takes"),
        pytest.param("price", -0.03, "price", None, id="a price below nought"),
        pytest.param("price", 1e300, "price", None, id="a price beyond belief"),
        pytest.param("price", float("nan"), "price", None, id="not a number"),
        pytest.param("price", "NaN", "price", None, id="not a number as a string"),
        pytest.param("price", "", "price", None, id="no price"),
    ],
)
def test_a_value_of_a_report_is_read_or_is_not_stated(field, written, attribute, value):
    assert getattr(report_of(**{field: written}), attribute) == value


def test_entries_that_are_no_objects_are_passed_over():
    body = json.dumps({"dlrs": [None, 7, "x", EXPIRED, []], "count": "5"}).encode()

    answer = read_reports(body, ZONE)

    assert len(answer.reports) == 1
    assert answer.count == 5


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(PUSH, id="parameters"),
        pytest.param({"delivery_report": json.dumps({**PUSH, "price": 0.031, "segment": 1})},
                     id="JSON in a parameter"),
        pytest.param({**PUSH, "price": Decimal("0.031"), "segment": 1}, id="a JSON document"),
        pytest.param({"delivery_report": PUSH}, id="a document in a document"),
    ],
)  # fmt: skip
def test_a_pushed_report_is_read_in_each_of_its_forms(fields):
    assert read_push(fields, ZONE) == Report(
        uuid="60c525e2-b28a-4e92-9a0f-58dacfa23a86",
        own_key=None,
        number=None,
        segment=1,
        status="DELIVRD",
        done_at=datetime(2019, 1, 15, 11, 20, 22, tzinfo=UTC),
        sent_at=datetime(2019, 1, 15, 11, 20, 13, tzinfo=UTC),
        operator="231.1",
        price=Decimal("0.031"),
        err_code="OK",
    )


def test_a_pushed_report_may_leave_out_all_but_the_uuid():
    report = read_push({"sms_uuid": UUID, "delivery_time": "", "price": "", "segment": ""}, ZONE)

    assert report == Report(UUID, None, None, 1, "", None, None, None, None, "")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"delivery_result": "DELIVRD"}, id="no uuid"),
        pytest.param({"sms_uuid": ""}, id="an empty uuid"),
        pytest.param({"delivery_report": "[]"}, id="JSON that is no object"),
        pytest.param({"delivery_report": "{"}, id="broken JSON"),
        pytest.param({"sms_uuid": UUID, "sms_text": "STOP"}, id="an inbound SMS"),
    ],
)
def test_what_is_no_report_is_not_read_as_one(fields):
    assert read_push(fields, ZONE) is None


INBOUND = {
    "sms_uuid": UUID.upper(),
    "recipient": "421900000001",
    "receive_time": "2026-07-15 12:20:22",
    "sender": "+421903622237",
    "sms_text": "Dakujem,\nstop",
}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(INBOUND, id="parameters"),
        pytest.param({"received": json.dumps(INBOUND)}, id="JSON in a parameter"),
    ],
)
def test_an_inbound_sms_is_read_in_each_of_its_forms(fields):
    assert read_inbound(fields, ZONE) == Inbound(
        uuid=UUID,
        recipient="421900000001",
        received_at=datetime(2026, 7, 15, 10, 20, 22, tzinfo=UTC),
        sender="+421903622237",
        text="Dakujem,\nstop",
    )


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(PUSH, id="a delivery report"),
        pytest.param({"sms_text": "STOP"}, id="no uuid"),
        pytest.param({"sms_uuid": UUID, "sms_text": 7}, id="a text that is none"),
    ],
)
def test_what_is_no_inbound_sms_is_not_read_as_one(fields):
    assert read_inbound(fields, ZONE) is None


def test_an_inbound_text_is_fit_to_be_stored():
    inbound = read_inbound({**INBOUND, "sms_text": "a\0\ud800" + "b" * 100_000}, ZONE)

    assert inbound is not None
    assert inbound.text.startswith("a\ufffd?b")
    assert len(inbound.text) == 40_000


keys = st.text(max_size=3) | st.sampled_from([*EXPIRED, *PUSH, "dlrs", "count", "sms_text"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(UUID),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=20,
)


@given(st.binary() | values.map(json.dumps))
def test_no_answer_is_too_strange_to_be_read(body):
    body = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")

    for answer in (read_reports(body, ZONE), read_status_one(body, ZONE)):
        for report in answer.reports:
            assert report.segment >= 1
            assert report.done_at is None or report.done_at.tzinfo is UTC


@given(st.dictionaries(keys | st.sampled_from(["delivery_report", "received"]), values | st.text()))
def test_no_push_is_too_strange_to_be_read(fields):
    report, inbound = read_push(fields, ZONE), read_inbound(fields, ZONE)

    assert report is None or report.uuid
    assert inbound is None or inbound.text.encode() is not None
