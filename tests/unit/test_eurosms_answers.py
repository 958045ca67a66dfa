"""What the gateway's answers to SMS mean."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.eurosms_answers import (
    GroupAnswer,
    SendAnswer,
    many_unanswered,
    read_send_many,
    read_send_one,
    unanswered,
)
from worker.core.eurosms_codes import OUTCOMES, SEND_CODES, Certainty, Consequence
from worker.core.outcomes import Outcome

UUID = "d0e17e57-f455-430e-844d-ead6f88a18e4"
OTHER_UUID = "60c525e2-b28a-4e92-9a0f-58dacfa23a86"
JSON = "application/json"


def one(answer: object, status: int = 200) -> SendAnswer:
    return read_send_one(status, JSON, json.dumps(answer).encode())


def many(answer: object, status: int = 200) -> GroupAnswer:
    return read_send_many(status, JSON, json.dumps(answer).encode())


def test_an_accepted_sms_has_the_uuids_of_its_segments():
    body = (
        b'{"uuid": ["D0E17E57-F455-430E-844D-EAD6F88A18E4"], "err_code": "ENQUEUED", '
        b'"err_desc": "Message accepted and enqueued to send"}'
    )

    answer = read_send_one(200, "application/json; charset=utf-8", body)

    assert answer == SendAnswer(
        outcome=Outcome.ACCEPTED,
        consequence=Consequence.ACCEPTED,
        code="ENQUEUED",
        text="Message accepted and enqueued to send",
        uuids=(UUID,),
        certainty=Certainty.AGREED,
    )


@pytest.mark.parametrize("code", sorted(SEND_CODES))
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_code_means_the_same_with_any_http_status(status, code):
    answer = one({"err_code": code, "err_desc": "words"}, status)

    assert answer.consequence is SEND_CODES[code].consequence
    assert answer.outcome is OUTCOMES[answer.consequence]
    assert answer.certainty is SEND_CODES[code].certainty
    assert (answer.code, answer.text) == (code, "words")


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        pytest.param([UUID, OTHER_UUID], (UUID, OTHER_UUID), id="a list"),
        pytest.param(UUID, (UUID,), id="a single string"),
        pytest.param([UUID.upper()], (UUID,), id="capitals"),
        pytest.param(["v:" + UUID, OTHER_UUID], (UUID, OTHER_UUID), id="the mark of Viber"),
        pytest.param("V:" + UUID.upper(), (UUID,), id="the mark of Viber in capitals"),
        pytest.param([UUID, UUID.upper()], (UUID,), id="the same twice"),
        pytest.param([30405278], ("30405278",), id="a number"),
        pytest.param([None, "", {}, [], True, "v:"], (), id="a list of nothing"),
        pytest.param(None, (), id="null"),
        pytest.param({"a": 1}, (), id="an object"),
    ],
)
def test_uuids_are_read_however_they_are_written(named, expected):
    answer = one({"err_code": "ENQUEUED", "uuid": named})

    assert answer.outcome is Outcome.ACCEPTED
    assert answer.uuids == expected


@pytest.mark.parametrize(
    ("answer", "consequence", "code"),
    [
        pytest.param({"err_code": "enqueued "}, Consequence.ACCEPTED, "enqueued", id="small"),
        pytest.param({"err_code": "QUEUED", "uuid": [UUID]}, Consequence.ACCEPTED, "QUEUED",
                     id="an unknown word with uuids"),
        pytest.param({"uuid": [UUID]}, Consequence.ACCEPTED, "", id="uuids alone"),
        pytest.param({"err_code": "Throttled"}, Consequence.RETRY, "Throttled",
                     id="an unknown word without uuids"),
        pytest.param({"err_code": "Throttled", "uuid": []}, Consequence.RETRY, "Throttled",
                     id="an unknown word with an empty list"),
        pytest.param({"err_code": 17}, Consequence.RETRY, "17", id="a number for a code"),
        pytest.param({"err_code": "INTERNAL_ERROR", "uuid": [UUID]}, Consequence.UNKNOWN,
                     "INTERNAL_ERROR", id="it broke after naming uuids"),
        pytest.param({"err_code": "NO_BALANCE", "uuid": [UUID]}, Consequence.UNKNOWN,
                     "NO_BALANCE", id="a refusal that names uuids"),
        pytest.param({"err_code": "FAILED", "uuid": UUID, "err_list": [{"err_code": "NO_TXT"}]},
                     Consequence.UNKNOWN, "NO_TXT", id="a listed refusal that names uuids"),
    ],
)  # fmt: skip
def test_uuids_speak_for_acceptance_and_against_a_refusal(answer, consequence, code):
    answer = one(answer)

    assert (answer.consequence, answer.code) == (consequence, code)


@pytest.mark.parametrize(
    ("codes", "consequence", "code"),
    [
        pytest.param(["NO_BALANCE"], Consequence.PAUSE, "NO_BALANCE", id="one"),
        pytest.param(["WRONG_NUMBER", "no_balance", "WRONG_SENDER"], Consequence.PAUSE,
                     "no_balance", id="the account before the rest"),
        pytest.param(["NO_TXT", "WRONG_SENDER"], Consequence.SENDER, "WRONG_SENDER",
                     id="the sender before the SMS"),
        pytest.param(["ERR_OTHER", "NO_TXT"], Consequence.REJECT, "NO_TXT",
                     id="the SMS before the passing"),
        pytest.param(["ERR_OTHER", "INTERNAL_ERROR"], Consequence.UNKNOWN, "INTERNAL_ERROR",
                     id="doubt before the passing"),
        pytest.param(["NEWS"], Consequence.RETRY, "NEWS", id="an unknown word"),
        pytest.param(["FAILED"], Consequence.RETRY, "FAILED", id="a wrapper within"),
        pytest.param([], Consequence.RETRY, "FAILED", id="no reason at all"),
        pytest.param(["ENQUEUED"], Consequence.UNKNOWN, "ENQUEUED", id="refused since accepted"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrapper", ["FAILED", "Fail"])
def test_the_gravest_of_the_listed_reasons_decides(wrapper, codes, consequence, code):
    reasons = [{"err_code": reason, "err_desc": "words"} for reason in codes]

    answer = one({"err_code": wrapper, "err_list": reasons})

    assert answer.consequence is consequence
    assert answer.code.upper() == (code.upper() if codes else wrapper.upper())


def test_all_listed_reasons_are_told():
    answer = one(
        {
            "err_code": "FAILED",
            "err_list": [
                {"err_code": "NO_BALANCE", "err_desc": "Not enough credit"},
                {"err_code": "WRONG_SIGNATURE", "err_desc": "Signature does not match"},
            ],
        }
    )

    assert answer.code == "NO_BALANCE"
    assert answer.text == (
        "NO_BALANCE: Not enough credit; WRONG_SIGNATURE: Signature does not match"
    )


@pytest.mark.parametrize(
    "err_list",
    [
        pytest.param(None, id="null"),
        pytest.param("NO_BALANCE", id="a string"),
        pytest.param(["NO_BALANCE", None, 7, []], id="a list without objects"),
        pytest.param([{"err_code": None}, {}], id="objects without codes"),
    ],
)
def test_a_wrapper_whose_reasons_cannot_be_read_is_a_refusal_for_now(err_list):
    assert one({"err_code": "FAILED", "err_list": err_list}).consequence is Consequence.RETRY


def test_a_code_without_a_description_is_described_by_us():
    assert one({"err_code": "NO_BALANCE", "err_desc": None}).text == "not enough credit"


def test_reasons_without_a_wrapper_are_read_as_well():
    answer = one({"err_list": {"err_code": "WRONG_NUMBER", "err_desc": "Wrong number"}})

    assert (answer.consequence, answer.text) == (Consequence.REJECT, "Wrong number")


@pytest.mark.parametrize(
    ("status", "consequence"),
    [
        (200, Consequence.RETRY),
        (400, Consequence.RETRY),
        (401, Consequence.PAUSE),
        (403, Consequence.PAUSE),
        (429, Consequence.SLOW_DOWN),
        (500, Consequence.UNKNOWN),
        (503, Consequence.UNKNOWN),
    ],
)
def test_an_unknown_word_is_understood_by_its_http_status(status, consequence):
    answer = one({"err_code": "NEWS"}, status)

    assert (answer.consequence, answer.code) == (consequence, "NEWS")
    assert answer.certainty is Certainty.INFERRED


NO_ANSWERS = [
    pytest.param(b"", "an empty answer", id="nothing"),
    pytest.param(b" \r\n", "an empty answer", id="white space"),
    pytest.param(b'{"uuid": ["D0E1', "broken or truncated JSON", id="truncated"),
    pytest.param(b"<html><h1>Bad Gateway</h1></html>", "HTML or XML instead of JSON", id="html"),
    pytest.param(b"ENQUEUED|Message accepted|1", "no JSON", id="the answer of version 2"),
    pytest.param(b"[]", "not an answer of the gateway", id="an empty list"),
    pytest.param(b"{}", "not an answer of the gateway", id="an empty object"),
    pytest.param(b'{"message": "Bad Gateway"}', "not an answer of the gateway", id="another's"),
    pytest.param(b"null", "not an answer of the gateway", id="null"),
    pytest.param(b"[" * 100_000, "broken or truncated JSON", id="nested without end"),
    pytest.param(b"7" * 10_000, "no JSON", id="a number without end"),
]


@pytest.mark.parametrize(("body", "what"), NO_ANSWERS)
@pytest.mark.parametrize(
    ("status", "consequence"),
    [
        (200, Consequence.UNKNOWN),
        (500, Consequence.UNKNOWN),
        (502, Consequence.UNKNOWN),
        (302, Consequence.PAUSE),
        (404, Consequence.PAUSE),
        (403, Consequence.PAUSE),
        (408, Consequence.RETRY),
        (429, Consequence.SLOW_DOWN),
    ],
)
def test_without_an_answer_the_http_status_says_whether_it_may_have_been_taken(
    status, consequence, body, what
):
    answer = read_send_one(status, "text/plain", body)
    group = read_send_many(status, "text/plain", body)

    assert answer.consequence is consequence
    assert answer.text.startswith(f"HTTP {status}, ")
    assert what in answer.text
    assert (answer.code, answer.uuids) == ("", ())
    assert group.whole.consequence is consequence
    assert group.recipients == ()


def test_a_page_is_known_by_its_content_type_too():
    answer = read_send_one(200, "text/html", b"Maintenance")

    assert answer.text == "HTTP 200, HTML or XML instead of JSON: Maintenance"


def test_a_description_in_another_encoding_spoils_only_itself():
    body = b'\xef\xbb\xbf{"err_code": "WRONG_NUMBER", "err_desc": "\xe8\xedslo \\ud800"}'

    answer = read_send_one(200, JSON, body)

    assert answer.code == "WRONG_NUMBER"
    assert answer.text == "\ufffd\ufffdslo ?"


def test_the_gateway_cannot_fill_the_database_with_its_words():
    answer = one({"err_code": "X" * 100_000, "err_desc": "y\n\0" * 100_000, "uuid": "z" * 9_999})

    assert (len(answer.code), len(answer.text), len(answer.uuids[0])) == (64, 1000, 64)
    assert "\0" not in answer.text


def test_silence_leaves_it_unknown():
    answer = unanswered("timed out")

    assert (answer.outcome, answer.consequence) == (Outcome.UNKNOWN, Consequence.UNKNOWN)
    assert (answer.text, answer.certainty) == ("timed out", Certainty.INFERRED)


@pytest.mark.parametrize(
    ("answer", "outcome", "accepted", "rejected", "group_id"),
    [
        pytest.param({"accepted": 23, "rejected": 2, "group_id": 223123}, Outcome.ACCEPTED, 23, 2,
                     "223123", id="o2m"),
        pytest.param({"accepted": 23, "rejected": 2, "group_id": 1232323}, Outcome.ACCEPTED, 23, 2,
                     "1232323", id="m2m"),
        pytest.param({"accepted": "1", "rejected": "0", "group_id": "7"}, Outcome.ACCEPTED, 1, 0,
                     "7", id="numbers as strings"),
        pytest.param({"accepted": 0, "rejected": 2, "group_id": None}, Outcome.REJECTED, 0, 2,
                     None, id="none taken"),
        pytest.param({"accepted": 0, "rejected": 0}, Outcome.UNKNOWN, 0, 0, None, id="nothing"),
        pytest.param({"accepted": -1, "rejected": 2.5}, Outcome.UNKNOWN, None, None, None,
                     id="impossible counts"),
    ],
)  # fmt: skip
def test_a_basic_answer_to_many_is_its_counts(answer, outcome, accepted, rejected, group_id):
    answer = many(answer)

    assert answer.whole.outcome is outcome
    assert (answer.accepted, answer.rejected) == (accepted, rejected)
    assert (answer.group_id, answer.recipients) == (group_id, ())


@pytest.mark.parametrize("code", ["ENQUEUED", "ENQUEUD"])
def test_a_full_answer_to_o2m_names_who_was_taken_and_who_was_not(code):
    answer = many(
        {
            "err_code": code,
            "err_list": [],
            "group_id": 2231232,
            "accepted": [
                {"r": 421903622237, "f": "first", "i": [UUID.upper()]},
                {"r": "420766121212", "f": None, "i": OTHER_UUID},
            ],
            "wrong_numbers": [{"r": 42190362}],
        }
    )

    assert (answer.whole.outcome, answer.group_id) == (Outcome.ACCEPTED, "2231232")
    assert (answer.accepted, answer.rejected) == (2, 1)
    assert answer.answer_to("first", "421903622237").uuids == (UUID,)
    assert answer.answer_to("second", "420766121212").uuids == (OTHER_UUID,)
    assert answer.answer_to("third", "42190362").consequence is Consequence.REJECT
    assert answer.answer_to("third", "42190362").code == "WRONG_NUMBER"
    assert answer.answer_to("fourth", "421900000000").outcome is Outcome.UNKNOWN


def test_a_full_answer_to_m2m_names_a_code_for_each():
    answer = many(
        {
            "err_code": "ENQUEUED",
            "err_list": [],
            "group_id": 3344123,
            "result": [
                {"e": "WRONG_NUMBER", "r": 42190362},
                {"e": "ENQUEUED", "r": 420773773237, "f": "second", "i": [UUID, OTHER_UUID]},
                {"e": "NEWS", "r": 420773773237, "f": "third"},
                {"r": 420773773237, "f": "fourth"},
            ],
        }
    )

    assert [entry.answer.outcome for entry in answer.recipients] == [
        Outcome.REJECTED,
        Outcome.ACCEPTED,
        Outcome.DEFERRED,
        Outcome.UNKNOWN,
    ]
    assert answer.answer_to("second", "420773773237").uuids == (UUID, OTHER_UUID)
    assert answer.answer_to("third", "420773773237").code == "NEWS"


def test_an_answer_that_refuses_all_of_them_names_the_reason_for_each():
    answer = many(
        {
            "err_code": "FAILED",
            "err_list": [{"err_code": "WRONG_SIGNATURE", "err_desc": "Signature does not match"}],
            "wrong_numbers": [{"r": 42190362}],
            "accepted": [],
        }
    )

    assert answer.whole.consequence is Consequence.PAUSE
    assert answer.group_id is None
    assert answer.answer_to("first", "421903622237").consequence is Consequence.PAUSE
    assert answer.answer_to("second", "42190362").consequence is Consequence.REJECT


def test_each_of_many_shares_the_fate_of_all_when_all_were_taken():
    answer = many({"accepted": 2, "rejected": 0, "group_id": 1})

    assert answer.answer_to("first", "421903622237").outcome is Outcome.ACCEPTED


def test_nobody_knows_whose_turn_it_was_when_only_some_were_taken():
    answer = many({"accepted": 1, "rejected": 1, "group_id": 1})

    assert answer.answer_to("first", "421903622237").outcome is Outcome.UNKNOWN


def test_a_refusal_of_all_that_lists_some_as_taken_is_unknown():
    answer = many({"err_code": "NO_BALANCE", "accepted": [{"r": 421903622237, "i": [UUID]}]})

    assert answer.whole.outcome is Outcome.UNKNOWN
    assert answer.answer_to("first", "421903622237").outcome is Outcome.ACCEPTED


KEYS = (
    ["err_code", "err_desc", "err_list", "uuid", "accepted", "rejected", "group_id"],
    ["wrong_numbers", "result", "e", "r", "f", "i"],
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from([key for some in KEYS for key in some]),
            inner | st.sampled_from(sorted(SEND_CODES)),
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(st.integers(100, 999), st.none() | st.text(), st.binary() | values.map(json.dumps))
def test_no_answer_is_too_strange_to_be_read(status, content_type, body):
    body = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")

    answer = read_send_one(status, content_type, body)
    group = read_send_many(status, content_type, body)

    for read in (answer, group.whole, *(entry.answer for entry in group.recipients)):
        assert OUTCOMES[read.consequence] is read.outcome
        (read.code + read.text + "".join(read.uuids)).encode()
    assert isinstance(group.answer_to("key", "421903622237"), SendAnswer)


@given(st.integers(100, 999), values.map(json.dumps))
def test_an_sms_with_uuids_is_never_taken_for_refused(status, body):
    answer = read_send_one(status, JSON, body.encode())

    if answer.uuids:
        assert answer.outcome in {Outcome.ACCEPTED, Outcome.UNKNOWN}


def test_many_sms_without_an_answer_may_all_have_gone():
    answer = many_unanswered("the line broke")

    assert answer.whole.outcome is Outcome.UNKNOWN
    assert (answer.accepted, answer.recipients) == (None, ())
