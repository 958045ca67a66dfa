"""What is told, and how it is signed: the standard's own example, and what it must not hold."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from worker.core.webhook_signatures import Told, headers, read_secret, trial, write_secret

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # of the standard's own example
AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def told(**changed):
    given = {
        "event": 51,
        "message": 17,
        "channel": "sms",
        "state": "delivered",
        "state_sk": "Doručené",
        "reference": "FA-1",
        "at": AT,
    }
    return Told(**{**given, **changed})


def test_the_signature_is_that_of_the_standard():
    body = b'{"test": 2432232314}'

    made = headers([SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)

    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_sign_while_one_takes_the_others_place():
    new, old = write_secret(b"n" * 32), write_secret(b"o" * 32)

    made = headers([new, old], "evt_1", 1, b"{}")["webhook-signature"].split(" ")

    for key, signature in zip((b"n" * 32, b"o" * 32), made, strict=True):
        right = hmac.new(key, b"evt_1.1.{}", hashlib.sha256).digest()
        assert signature == f"v1,{base64.b64encode(right).decode()}"


def test_the_body_tells_state_and_reference_and_nothing_else():
    assert json.loads(told().body) == {
        "type": "sms.delivered",
        "timestamp": "2026-03-01T12:00:00.123456+00:00",
        "data": {
            "id": 17,
            "channel": "sms",
            "state": "delivered",
            "state_sk": "Doručené",
            "reference": "FA-1",
        },
    }


def test_ids_grow_with_time_also_as_texts():
    ids = [
        told().id,
        told(event=1_000).id,
        told(at=AT + timedelta(microseconds=1), event=2).id,
        told(at=AT + timedelta(days=9_000), event=1).id,
    ]

    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_an_id_is_the_same_in_any_zone():
    assert told(at=AT.astimezone(timezone(timedelta(hours=1)))).id == told().id


def test_a_trial_tells_of_no_message():
    test_id, body = trial(AT)

    assert test_id.startswith("test_2026")
    assert json.loads(body)["data"] == {}


@pytest.mark.parametrize("secret", ["", "tajne", "whsec_*", "whsec_abc"], ids=str)
def test_what_is_no_secret_is_refused(secret):
    with pytest.raises(ValueError, match="webhook's secret"):
        read_secret(secret)
