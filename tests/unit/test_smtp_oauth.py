"""What the answers of token servers mean, and what is said to SMTP servers with their tokens."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from worker.core import sasl
from worker.core.oauth import Granted, Refused, TokenRequest, read_answer


def granted(**said: object) -> Granted | Refused:
    body = {"access_token": "t0ken", **said}
    return read_answer(200, "application/json", json.dumps(body).encode())


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        pytest.param(3599, 3599, id="a number"),
        pytest.param("3599", 3599, id="a number as text"),
        pytest.param(None, 300, id="nothing"),
        pytest.param(True, 300, id="no number"),
        pytest.param("soon", 300, id="a word"),
        pytest.param(-5, 300, id="less than nothing"),
        pytest.param("9" * 400, 300, id="an absurd number"),
        pytest.param(0, 1, id="no time at all"),
        pytest.param(10**8, 86_400, id="years"),
    ],
)
def test_a_token_is_good_for_as_long_as_is_said_within_reason(said, seconds):
    answer = granted(expires_in=said)

    assert isinstance(answer, Granted)
    assert answer.seconds == seconds


@pytest.mark.parametrize(("seconds", "renewed"), [(3600, 3300), (60, 48), (1, 0.8)])
def test_a_token_is_renewed_before_its_end_however_short_it_lasts(seconds, renewed):
    assert Granted("t", seconds).renew_after == renewed


@pytest.mark.parametrize("token", [None, 5, "", "a b", "a\r\nMAIL", "ž"])
def test_a_token_that_cannot_go_into_a_header_is_none(token):
    answer = granted(access_token=token)

    assert answer == Refused("its answer has no usable access token", False)


@pytest.mark.parametrize("kind", ["mac", None, 7])
def test_a_token_of_another_kind_is_of_no_use(kind):
    answer = granted(token_type=kind)

    assert isinstance(answer, Refused)
    assert answer.for_good


@pytest.mark.parametrize(("given", "kept"), [("r1", "r1"), (None, None), (7, None), ("a b", None)])
def test_a_refresh_token_that_comes_along_is_kept_if_it_is_one(given, kept):
    answer = granted(refresh_token=given)

    assert isinstance(answer, Granted)
    assert answer.refresh == kept


@pytest.mark.parametrize(
    ("status", "body", "words", "for_good"),
    [
        pytest.param(
            400,
            {"error": "unauthorized_client", "error_description": "not\r\nyou"},
            "unauthorized_client: the client may not use this grant (not you)",
            True,
            id="a known error",
        ),
        pytest.param(400, {"error": "odd_thing"}, "odd_thing", False, id="an unknown error"),
        pytest.param(
            400, {"message": "no"}, "it answered 400 without saying what is wrong", False, id="none"
        ),
        pytest.param(400, {"error": 5}, "without saying", False, id="an error that is no text"),
        pytest.param(
            500, {"error": "invalid_client"}, "it answered 500", False, id="a broken server"
        ),
        pytest.param(404, [1], "with text/html in place of JSON", False, id="a list"),
        pytest.param(200, [1], "with text/html in place of JSON", False, id="no token at all"),
    ],
)
def test_a_refusal_is_told_in_words(status, body, words, for_good):
    answer = read_answer(status, "text/html", json.dumps(body).encode())

    assert isinstance(answer, Refused)
    assert words in answer.words
    assert answer.for_good is for_good


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 200_000, b'{"a": '])
def test_what_is_no_json_is_no_token(body):
    answer = read_answer(200, "", body)

    assert isinstance(answer, Refused)
    assert "it answered 200 with no content type in place of JSON" in answer.words


@pytest.mark.parametrize(("header", "seconds"), [("30", 30.0), ("Fri, 1 Jan", None), (None, None)])
def test_a_server_says_how_long_to_wait(header, seconds):
    answer = read_answer(429, "text/plain", b"", header)

    assert isinstance(answer, Refused)
    assert answer.retry_after == seconds


def test_a_request_carries_what_its_grant_needs_and_shows_no_secret():
    request = TokenRequest(
        "https://login.example/token", "refresh_token", "us", "s3cret", "mail", "refr3sh"
    )

    assert parse_qs(request.body.decode()) == {
        "grant_type": ["refresh_token"],
        "client_id": ["us"],
        "client_secret": ["s3cret"],
        "refresh_token": ["refr3sh"],
        "scope": ["mail"],
    }
    assert "3" not in repr(request)
    assert "t0ken" not in repr(granted(refresh_token="t0ken"))


def test_another_grant_sends_no_refresh_token():
    request = TokenRequest("https://x", "client_credentials", "us", "s", None, "left over")

    assert b"left" not in request.body


@pytest.mark.parametrize(
    ("offered", "wanted", "token", "private", "chosen"),
    [
        (["PLAIN", "CRAM-MD5"], None, False, True, "PLAIN"),
        (["LOGIN", "CRAM-MD5"], None, False, False, "CRAM-MD5"),
        (["LOGIN", "CRAM-MD5"], "login", False, False, "LOGIN"),
        (["PLAIN"], "xoauth2", False, True, None),
        (["PLAIN", "OAUTHBEARER"], None, True, True, "OAUTHBEARER"),
        (["OAUTHBEARER", "XOAUTH2"], None, True, True, "XOAUTH2"),
        (["PLAIN", "LOGIN"], None, True, True, None),
        ([], None, False, True, None),
    ],
)
def test_the_mechanism_is_the_best_of_those_offered(offered, wanted, token, private, chosen):
    assert sasl.choose(offered, wanted, token=token, private=private) == chosen


@pytest.mark.parametrize(
    "challenge",
    [
        pytest.param("???", id="no base64"),
        pytest.param("ž", id="not ASCII"),
        pytest.param("QQ==" * 2000, id="endless"),
        pytest.param(sasl.encoded("[1]"), id="no object"),
        pytest.param(sasl.encoded("{"), id="no JSON"),
        pytest.param(sasl.encoded("{}"), id="nothing in it"),
    ],
)
def test_a_refusal_that_explains_nothing_adds_nothing(challenge):
    assert sasl.refusal(challenge) == ""


def test_each_mechanism_says_what_its_rfc_wants():
    challenge = sasl.encoded("<1896.697170952@postoffice.reston.mci.net>")

    assert sasl.decoded(sasl.plain("jožo", "heslo")) == "\0jožo\0heslo".encode()
    assert sasl.decoded(sasl.xoauth2("a@x", "t")) == b"user=a@x\x01auth=Bearer t\x01\x01"
    assert sasl.decoded(sasl.oauthbearer("a,b", "h", 25, "t")) == (
        b"n,a=a=2Cb,\x01host=h\x01port=25\x01auth=Bearer t\x01\x01"
    )
    assert sasl.decoded(sasl.cram_md5("tim", "tanstaaftanstaaf", challenge)) == (
        b"tim b913a602c7eda7a495b4e6e7334d3890"
    )


def test_a_refusal_tells_its_status_and_the_scope_that_was_missing():
    said = sasl.encoded(json.dumps({"status": "400", "scope": "https://mail.example/"}))

    assert sasl.refusal(said) == "status 400, scope https://mail.example/"
