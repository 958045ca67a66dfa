"""The page on webhooks says what is so, and alarms of webhooks say what helps."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.webhooks import TOLD
from worker.core.alarm_facts import Facts, WebhookFacts
from worker.core.alarms import Kind, concerns
from worker.core.webhook_addresses import PORTS
from worker.core.webhook_retry import QUIET_LONGEST, WAITS
from worker.core.webhook_signatures import Told
from worker.webhooks.deliveries import AT_ONCE, LEASE
from worker.webhooks.posting import ANSWER_OCTETS, READ_SECONDS, TOTAL_SECONDS
from worker.webhooks.register import OVERLAP, WEBHOOKS_MOST

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
UNITS = {"s": "seconds", "min": "minutes", "h": "hours"}


def cells(pattern):
    return re.findall(rf"^\| {pattern} \|", PAGE, re.MULTILINE)


def test_the_table_of_retries_is_that_of_the_courier():
    told = [
        (int(attempt), timedelta(**{UNITS[unit]: int(number)}))
        for attempt, number, unit in cells(r"(\d+) \| (\d+) (\w+)")
    ]

    assert told == list(enumerate(WAITS, start=2))


def test_every_event_is_explained_once():
    assert cells(r"`(\w+)` \| [^|]+") == [state.value for state in TOLD]


def test_the_example_is_what_is_told():
    example = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    at = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

    told = Told(51, 17, "email", "delivered", "Doručené", "FA-2026-1", at)

    assert json.loads(told.body) == example


@pytest.mark.parametrize(
    "words",
    [
        f"within {READ_SECONDS} seconds",
        f"at most {TOTAL_SECONDS} s for the whole POST, and {ANSWER_OCTETS // 1024} KiB",
        f"At most {AT_ONCE} POSTs",
        f"{QUIET_LONGEST.seconds // 60} minutes at most",
        f"for {OVERLAP.days * 24} hours both sign",
        f"has {WEBHOOKS_MOST} webhooks at most",
        f"a lease of {LEASE.seconds} s",
        f"to port {' or '.join(map(str, PORTS))}",
    ],
)
def test_the_numbers_of_the_page_are_those_of_the_code(words):
    assert words in " ".join(PAGE.split())


def test_a_webhook_that_was_disabled_is_a_concern_without_its_path():
    (concern,) = concerns(Facts(webhooks=[WebhookFacts(3, "prijem.firma.example", "HTTP 410")]))

    assert (concern.kind, concern.subject) == (Kind.WEBHOOK, "webhook:3")
    assert "HTTP 410" in concern.what
    assert "kadencia webhook enable 3" in concern.what


def test_a_webhook_that_nobody_tells_is_a_concern():
    (concern,) = concerns(Facts(webhooks=[WebhookFacts(3, "prijem.firma.example")]))

    assert "no courier runs" in concern.what
