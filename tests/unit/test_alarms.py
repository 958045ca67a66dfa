"""What a person is alarmed about, and what is no cause for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from worker.core.alarms import (
    REJECTED_LEAST,
    AccountFacts,
    Facts,
    Kind,
    TaskFacts,
    concerns,
    looks_suspicious,
)

UNTIL = datetime(2026, 3, 2, 9, 5, tzinfo=UTC)


def task(**changes):
    return Facts(tasks=[TaskFacts(id=3, name="Ponuka", server="main", **changes)])


def account(failures, why, until=UNTIL):
    return Facts(accounts=[AccountFacts(7, "relay", failures, until, why)])


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
        pytest.param(task(unknown=2), Kind.UNKNOWN, "task:3", "of 2 messages", id="unknown ones"),
        pytest.param(
            task(attempts=30, rejected=25), Kind.FAILURES, "task:3", "25 were", id="many refusals"
        ),
        pytest.param(
            task(stranded=True), Kind.TASK_WITHOUT_SERVER, "task:3", "--server main", id="no server"
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
