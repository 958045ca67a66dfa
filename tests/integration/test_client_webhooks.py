"""What Kadencia tells a webhook, the client proves."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from kadencia_client import WebhookError, verify_webhook

from worker.core.webhook_signatures import Told, headers, write_secret

SECRET, OTHER = write_secret(b"a" * 32), write_secret(b"b" * 32)
NOW = 1_767_225_600
TOLD = Told(7, 17, "email", "delivered", "Doručené", "faktura-7", datetime(2026, 1, 1, tzinfo=UTC))
SIGNED = headers([SECRET], TOLD.id, NOW, TOLD.body)


def test_a_call_of_kadencia_is_believed_and_read():
    event = verify_webhook(SECRET, SIGNED, TOLD.body, now=NOW + 299)

    assert (event.id, event.type, event.at) == (TOLD.id, "email.delivered", TOLD.at)
    assert event.data["reference"] == "faktura-7"


def test_while_one_secret_takes_the_others_place_either_proves_it():
    both = headers([OTHER, SECRET], TOLD.id, NOW, TOLD.body)
    capitals = {name.title(): value for name, value in both.items()}

    assert verify_webhook(SECRET, capitals, TOLD.body, now=NOW)
    assert verify_webhook([SECRET, OTHER], SIGNED, TOLD.body, now=NOW)


@pytest.mark.parametrize(
    ("secret", "changed", "body", "now", "words"),
    [
        pytest.param(OTHER, {}, TOLD.body, NOW, "no signature fits", id="another secret"),
        pytest.param(SECRET, {}, TOLD.body + b" ", NOW, "no signature fits", id="another body"),
        pytest.param(SECRET, {}, TOLD.body, NOW + 301, "too old", id="an old copy"),
        pytest.param(SECRET, {}, TOLD.body, NOW - 301, "too old", id="from the future"),
        pytest.param(
            SECRET, {"webhook-id": "evt_8"}, TOLD.body, NOW, "no signature", id="another id"
        ),
        pytest.param(SECRET, {"webhook-timestamp": "now"}, TOLD.body, NOW, "no time", id="no time"),
        pytest.param(
            SECRET, {"webhook-signature": "v1,é"}, TOLD.body, NOW, "no signature", id="no ASCII"
        ),
    ],
)
def test_a_call_of_somebody_else_is_not_believed(secret, changed, body, now, words):
    with pytest.raises(WebhookError, match=words):
        verify_webhook(secret, {**SIGNED, **changed}, body, now=now)


def test_a_call_without_a_signature_or_of_another_kind_is_not_believed():
    with pytest.raises(WebhookError, match="'webhook-id' is missing"):
        verify_webhook(SECRET, {}, TOLD.body)
    with pytest.raises(WebhookError, match="not what Kadencia sends"):
        verify_webhook(SECRET, headers([SECRET], "1", NOW, b"[]"), b"[]", now=NOW)
    with pytest.raises(ValueError, match="begins with whsec_"):
        verify_webhook("whsec_?", SIGNED, TOLD.body, now=NOW)
