"""What goes to the gateway: signatures, bodies, and what is refused before."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support.gateway import IID, KEY, SMS, settings
from worker.eurosms import Sms, flags_of, signature
from worker.eurosms.balance import Balance, read_balance
from worker.eurosms.bodies import many_to_many, one, one_to_many

URL = "http://127.0.0.1:1"
ACCOUNT = settings(URL)


@pytest.mark.parametrize(
    ("digest", "data", "expected"),
    [
        pytest.param("sha1", "RZi421903622237Testovacia sprava",
                     "6f56060b6b7db97ca25782b771cca0a65077bd5b", id="one SMS"),
        pytest.param("sha1", "RZi421903622237420766121212Testovacia sprava",
                     "fa02681d79dfe591300a7f181837a58d630be5ad", id="two numbers"),
        pytest.param("sha1", "2231232",
                     "88997487197a03b4008cc7ca3cb36a8dac6a4102", id="a group"),
        pytest.param("sha1", "3344123",
                     "a42603048b95af159552277b0069b27be7f89370", id="another group"),
        pytest.param("sha1", "a1b2c3d4e5f6",
                     "9676125f5931646732b39dc1af349862b1c2ca6d", id="a trxid"),
        pytest.param("sha1", "RZi421903622237Ďakujeme",
                     "abb8bd71ee345d5965b5878ee41063388a3246d1", id="letters beyond ASCII"),
        pytest.param("sha256", "RZi421903622237Testovacia sprava",
                     "cca1e6bf775b6147906e3bf382d2582cff6b5fd24b6d14e2d2e7b4c2528499e7",
                     id="one SMS by SHA-256"),
    ],
)  # fmt: skip
def test_a_signature_is_that_of_the_vector(digest, data, expected):
    assert signature(KEY, digest, data) == expected


def changed(**changes: Any) -> Sms:
    values = {"number": "421903622237", "own_key": "first", "sender": "RZi", "text": "Ahoj"}
    return Sms(**(values | changes))


def test_one_sms_is_one_flat_object():
    body = one(ACCOUNT, SMS)

    assert body == (
        b'{"iid":"2-A2gHjk","sgn":"6f56060b6b7db97ca25782b771cca0a65077bd5b",'
        b'"rcpt":{"r":421903622237,"f":"first"},"sndr":"RZi","txt":"Testovacia sprava",'
        b'"flgs":1,"rsp":"full"}'
    )


def test_what_is_not_ascii_goes_out_as_it_is_and_is_signed_so():
    body = one(ACCOUNT, changed(text="Ďakujeme"))

    assert '"txt":"Ďakujeme"'.encode() in body
    assert json.loads(body)["sgn"] == "abb8bd71ee345d5965b5878ee41063388a3246d1"


def test_a_text_is_signed_before_it_is_escaped():
    text = ' "citát"\n\\ €\u2028 '

    body = json.loads(one(ACCOUNT, changed(text=text)))

    assert body["txt"] == text
    assert body["sgn"] == signature(KEY, "sha1", f"RZi421903622237{text}")


def test_an_account_may_sign_with_sha_256():
    body = json.loads(one(settings(URL, digest="sha256"), SMS))

    assert body["sgn"] == "cca1e6bf775b6147906e3bf382d2582cff6b5fd24b6d14e2d2e7b4c2528499e7"


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        pytest.param(datetime(2026, 7, 15, 10, 30, tzinfo=UTC), "2026-07-15 12:30", id="summer"),
        pytest.param(datetime(2026, 1, 15, 11, 30, tzinfo=UTC), "2026-01-15 12:30", id="winter"),
        pytest.param(datetime(2026, 1, 15, 11, 29, 1, tzinfo=UTC), "2026-01-15 12:30",
                     id="never too early"),
        pytest.param(datetime(2026, 10, 25, 0, 59, 59, 999_999, tzinfo=UTC), "2026-10-25 02:00",
                     id="over the end of summer time"),
        pytest.param(datetime(2026, 3, 29, 1, 59, 30, tzinfo=ZoneInfo("Europe/Bratislava")),
                     "2026-03-29 03:00", id="over the beginning of summer time"),
    ],
)  # fmt: skip
def test_a_time_to_send_at_is_written_by_the_clock_of_the_account(moment, written):
    sms = changed(ttl=600, schedule=moment)

    body = json.loads(one(ACCOUNT, sms))
    batch = json.loads(one_to_many(ACCOUNT, [sms]))

    assert (body["sch"], body["ttl"]) == (written, 600)
    assert (batch["start"], batch["ttl"]) == (written, 600)


def test_one_text_to_many_is_signed_over_all_numbers():
    first = changed(text="Testovacia sprava")
    second = changed(text="Testovacia sprava", number="420766121212", own_key="second")

    body = json.loads(one_to_many(ACCOUNT, [first, second]))

    assert body == {
        "iid": IID,
        "sgn": "fa02681d79dfe591300a7f181837a58d630be5ad",
        "rcpts": [{"r": 421903622237, "f": "first"}, {"r": 420766121212, "f": "second"}],
        "sndr": "RZi",
        "txt": "Testovacia sprava",
        "flgs": 1,
        "rsp": "full",
    }


def test_one_text_to_many_is_one_text():
    with pytest.raises(ValueError, match="number and own key alone"):
        one_to_many(ACCOUNT, [changed(), changed(text="Iné")])


def test_of_many_sms_each_is_signed_by_itself():
    first, second = changed(text="Testovacia sprava"), changed(sender="421900000001", flags=3)

    body = json.loads(many_to_many(ACCOUNT, [first, second]))

    assert "sgn" not in body
    assert (body["iid"], body["dsndr"], body["rsp"]) == (IID, "RZi", "full")
    assert body["msgs"] == [
        {
            "sgn": "6f56060b6b7db97ca25782b771cca0a65077bd5b",
            "rcpt": {"r": 421903622237, "f": "first"},
            "sndr": "RZi",
            "txt": "Testovacia sprava",
            "flgs": 1,
        },
        {
            "sgn": signature(KEY, "sha1", "421900000001421903622237Ahoj"),
            "rcpt": {"r": 421903622237, "f": "first"},
            "sndr": "421900000001",
            "txt": "Ahoj",
            "flgs": 3,
        },
    ]


@pytest.mark.parametrize(
    "more", [{"ttl": 600}, {"schedule": datetime(2026, 7, 15, 10, 30, tzinfo=UTC)}]
)
def test_of_many_sms_none_has_a_validity_or_time(more):
    with pytest.raises(ValueError, match="no place"):
        many_to_many(ACCOUNT, [changed(), changed(**more)])


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, 1),
        ({"long": True}, 3),
        ({"diacritics": True}, 5),
        ({"long": True, "diacritics": True}, 7),
        ({"high_priority": True}, 9),
        ({"low_priority": True, "long": True}, 35),
    ],
)
def test_flags_always_ask_for_a_delivery_report(options, flags):
    assert flags_of(**options) == flags


def test_an_sms_cannot_have_both_priorities():
    with pytest.raises(ValueError, match="one priority"):
        flags_of(high_priority=True, low_priority=True)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"number": "+421903622237"}, id="a number with plus"),
        pytest.param({"number": "0903622237"}, id="a local number"),
        pytest.param({"number": "٤٢١٩٠٣٦٢٢٢٣٧"}, id="digits of another script"),
        pytest.param({"own_key": ""}, id="no own key"),
        pytest.param({"own_key": "a b"}, id="an own key with a space"),
        pytest.param({"ttl": 0}, id="no validity"),
        pytest.param({"schedule": datetime(2026, 7, 15)}, id="a time without a zone"),  # noqa: DTZ001
        pytest.param({"text": "\ud83d"}, id="half a surrogate pair"),
    ],
)
def test_an_sms_that_cannot_go_over_the_wire_is_refused_at_once(changes):
    with pytest.raises(ValueError, match=r"."):
        changed(**changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"integration_id": "2/A2gHjk"}, "integration ID", id="integration ID"),
        pytest.param({"key": ""}, "key is empty", id="key"),
        pytest.param({"digest": "md5"}, "digest", id="digest"),
        pytest.param({"time_zone": "Europe/Nowhere"}, "time zone", id="time zone"),
        pytest.param({"time_zone": "../secrets"}, "time zone", id="a path for a time zone"),
        pytest.param({"answer_timeout": 0}, "time-out", id="time-out"),
        pytest.param({"base_url": "ftp://gateway.example"}, "base URL", id="scheme"),
        pytest.param({"base_url": "https://"}, "base URL", id="no host"),
        pytest.param({"base_url": "https://a:b@gateway.example"}, "base URL", id="log-in"),
        pytest.param({"base_url": "https://gateway.example/api"}, "base URL", id="path"),
        pytest.param({"base_url": "https://gateway.example?a=b"}, "base URL", id="query"),
        pytest.param({"base_url": "https://gateway.example:x"}, r"[Pp]ort", id="port"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(changes, said):
    values = {"name": "gateway", "integration_id": IID, "key": KEY}

    with pytest.raises(ValueError, match=said) as refusal:
        type(ACCOUNT)(**(values | changes))

    assert KEY not in str(refusal.value)


def test_settings_do_not_show_the_key():
    assert KEY not in repr(ACCOUNT)


@pytest.mark.parametrize(
    ("body", "balance"),
    [
        pytest.param(b"80.693 EUR\n", Balance(Decimal("80.693"), "EUR")),
        pytest.param(b"-1,5 EUR", Balance(Decimal("-1.5"), "EUR")),
        pytest.param(b"0EUR", Balance(Decimal(0), "EUR")),
        pytest.param(b"BAD_INT", None),
        pytest.param(b"80.693", None),
        pytest.param(b"", None),
        pytest.param(b"\xff<html>", None),
    ],
)
def test_a_balance_is_read_or_is_none(body, balance):
    assert read_balance(body) == balance
