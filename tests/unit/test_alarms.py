"""What a person is alarmed about, and what is no cause for it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from worker.core.alarm_facts import AccountFacts, Facts, GatewayFacts, TaskFacts
from worker.core.alarms import REJECTED_LEAST, Kind, concerns, looks_suspicious

UNTIL = datetime(2026, 3, 2, 9, 5, tzinfo=UTC)


def task(**changes):
    return Facts(tasks=[TaskFacts(id=3, name="Ponuka", server="main", **changes)])


def account(failures, why, until=UNTIL):
    return Facts(accounts=[AccountFacts(7, "relay", failures, until, why)])


def gateway(**changes):
    return Facts(gateways=[GatewayFacts(5, "brána", **changes)])


def test_a_fleet_of_which_nothing_is_known_worries_nobody():
    assert concerns(Facts()) == []


@pytest.mark.parametrize(
    ("facts", "kind", "subject", "words"),
    [
        pytest.param(
            Facts(stopped_why=""), Kind.STOPPED, "installation", "no reason", id="sending stopped"
        ),
        pytest.param(
            Facts(stopped_why="spam"), Kind.STOPPED, "installation", "(spam)", id="with a reason"
        ),
        pytest.param(
            Facts(stopped_why="x", restored=True),
            Kind.STOPPED,
            "installation",
            "restored from a backup",
            id="a restore, which says more than the stop",
        ),
        pytest.param(
            Facts(rejected=3),
            Kind.INTAKE,
            "intake:rejected",
            "3 documents",
            id="rejected ones",
        ),
        pytest.param(
            Facts(intake_stuck=True),
            Kind.INTAKE,
            "intake:waiting",
            "for a minute",
            id="waiting ones",
        ),
        pytest.param(task(unknown=2), Kind.UNKNOWN, "task:3", "of 2 messages", id="unknown ones"),
        pytest.param(
            task(attempts=30, rejected=25), Kind.FAILURES, "task:3", "25 were", id="many refusals"
        ),
        pytest.param(
            task(stranded=True), Kind.TASK_WITHOUT_SERVER, "task:3", "--server main", id="no server"
        ),
        pytest.param(
            task(stands_in_for="headquarters"),
            Kind.STAND_IN,
            "task:3",
            "main stands in for its OAC server headquarters",
            id="a stand-in",
        ),
        pytest.param(
            Facts(tasks=[TaskFacts(None, "Outbox", "", unknown=1)]),
            Kind.UNKNOWN,
            "outbox",
            "of 1 messages",
            id="an unknown one that no task released",
        ),
        pytest.param(
            account(1, "auth: 535 5.7.8 no"), Kind.AUTH, "smtp:7", "535", id="a refused log-in"
        ),
        pytest.param(
            account(3, "connect: refused"), Kind.BREAKER, "smtp:7", "until 09:05:00", id="a breaker"
        ),
        pytest.param(
            account(3, "connect: refused", None),
            Kind.BREAKER,
            "smtp:7",
            "alone after 3",
            id="ended",
        ),
        pytest.param(
            Facts(accounts=[AccountFacts(5, "brána", 3, UNTIL, "HTTP 500", sms=True)]),
            Kind.BREAKER,
            "eurosms:5",
            "HTTP 500",
            id="a breaker at EuroSMS",
        ),
        pytest.param(
            task(sms=True, unknown=1),
            Kind.UNKNOWN,
            "task:3",
            "kadencia sms list --state unknown",
            id="an unknown SMS",
        ),
        pytest.param(
            task(sms=True, paused_why="NO_BALANCE Not enough credit"),
            Kind.TASK_PAUSED,
            "task:3",
            "NO_BALANCE",
            id="a task that the product paused",
        ),
        pytest.param(
            task(sms=True, exhausted_until=UNTIL),
            Kind.BUDGET,
            "task:3",
            "until 2026-03-02 09:05 UTC",
            id="a budget that is used up",
        ),
        pytest.param(
            gateway(poll_failures=3, poll_why="HTTP 502"),
            Kind.REPORTS,
            "eurosms:5",
            "3 times in vain: HTTP 502",
            id="reports that cannot be had",
        ),
        pytest.param(
            gateway(poll_overdue=True),
            Kind.REPORTS,
            "eurosms:5",
            "not fetched for an hour",
            id="reports that nobody asks for",
        ),
        pytest.param(
            gateway(balance=Decimal("2.99"), price=Decimal("0.03")),
            Kind.LOW_BALANCE,
            "eurosms:5",
            "2.99 EUR were left",
            id="credit for fewer than 100 segments",
        ),
        pytest.param(
            gateway(balance=Decimal("-0.5")),
            Kind.LOW_BALANCE,
            "eurosms:5",
            "-0.50 EUR",
            id="debts, where no price is known",
        ),
        pytest.param(
            Facts(silent_servers=["main"]),
            Kind.SERVER_SILENT,
            "server:main",
            "--server main",
            id="a silent server",
        ),
    ],
)
def test_a_person_is_told_of(facts, kind, subject, words):
    (concern,) = concerns(facts)

    assert (concern.kind, concern.subject) == (kind, subject)
    assert words in concern.what


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(task(attempts=1000, rejected=19), id="a few refusals"),
        pytest.param(account(2, "connect: refused"), id="a server that restarts"),
        pytest.param(account(0, ""), id="a server that serves"),
        pytest.param(gateway(poll_failures=2), id="a gateway that restarts"),
        pytest.param(gateway(price=Decimal("0.05")), id="a balance that nobody has asked for"),
        pytest.param(
            gateway(balance=Decimal(3), price=Decimal("0.03")), id="credit for 100 segments"
        ),
        pytest.param(gateway(balance=Decimal(5)), id="5 EUR, where no price is known"),
    ],
)
def test_an_everyday_matter_is_no_concern(facts):
    assert concerns(facts) == []


def test_several_concerns_are_told_apart():
    facts = Facts(
        stopped_why="x",
        tasks=[TaskFacts(n, "T", "main", 1, 99, 99, stranded=True) for n in (1, 2)],
        silent_servers=["main", "back"],
    )

    found = concerns(facts)

    assert len({(one.kind, one.subject) for one in found}) == len(found) == 9


def test_refusals_are_suspicious_by_number_and_by_share():
    assert looks_suspicious(REJECTED_LEAST, REJECTED_LEAST)
    assert not looks_suspicious(REJECTED_LEAST - 1, REJECTED_LEAST - 1)
    assert not looks_suspicious(REJECTED_LEAST * 5, REJECTED_LEAST)
    assert not looks_suspicious(0, 0)
