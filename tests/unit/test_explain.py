"""Why a message has not gone yet, in words for an operator."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from worker.core.explain import Facts, TaskFacts, explain
from worker.core.plan import Plan

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)  # a Monday
LATER = NOW + timedelta(minutes=5)
TASK = TaskFacts(
    name="Ponuka",
    active=True,
    plan=None,
    server="main",
    server_alive=True,
    server_paused=False,
    account="relay",
    account_enabled=True,
    breaker_until=None,
    breaker_why=None,
    limit=100,
)
MESSAGE = Facts(
    now=NOW,
    not_before=NOW,
    expires_at=NOW + timedelta(days=3),
    domains=frozenset({"a.example", "b.example"}),
    cost=2,
    tasks=(TASK,),
)


def test_a_message_that_nothing_holds_goes_with_the_next_sweep():
    assert explain(MESSAGE) == ["nothing stands in its way: it goes with the next sweep"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"stopped": "a leak"}, "whole installation: a leak", id="a stop"),
        pytest.param(
            {"barred": ("x@a.example",)}, "not let x@a.example through", id="a barred one"
        ),
        pytest.param({"redirect_to": "me@a.example"}, "to me@a.example instead", id="redirected"),
        pytest.param({"throttle": "Redis is away"}, "no permits can be given", id="the throttle"),
        pytest.param({"not_before": LATER}, "before 2026-03-02 09:05:00 UTC", id="its own time"),
        pytest.param({"expires_at": NOW}, "has expired, on 2026-03-02 09:00:00", id="its expiry"),
        pytest.param({"tasks": ()}, "no automatic task", id="no task"),
    ],
)
def test_what_holds_a_message_is_told(changes, words):
    (reason,) = explain(replace(MESSAGE, **changes))

    assert words in reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"active": False}, "it is paused", id="the task is paused"),
        pytest.param({"server_alive": False}, "main is silent", id="its server is silent"),
        pytest.param({"server_paused": True}, "main is paused", id="its server is paused"),
        pytest.param({"account_enabled": False}, "“relay” is disabled", id="a disabled account"),
        pytest.param(
            {"breaker_until": LATER, "breaker_why": "421 busy"},
            "refuses us (421 busy); tried again at 2026-03-02 09:05:00",
            id="the breaker",
        ),
        pytest.param({"breaker_until": LATER}, "refuses us; tried", id="the breaker, wordless"),
        pytest.param({"used": 99, "free_at": LATER}, "99 of 100; there is room", id="the cadence"),
        pytest.param({"used": 99}, "used up, 99 of 100", id="the cadence, nobody knows how long"),
        pytest.param(
            {"full_domains": frozenset({"b.example", "c.example"}), "domains_free_at": LATER},
            "limit of b.example is used up; there is room again from",
            id="one of its domains",
        ),
        pytest.param({"ahead": 7}, "7 message(s) go before it", id="others go first"),
    ],
)
def test_what_holds_a_task_is_told_with_its_name(changes, words):
    (reason,) = explain(replace(MESSAGE, tasks=(replace(TASK, **changes),)))

    assert reason.startswith("task “Ponuka”: ")
    assert words in reason


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"breaker_until": NOW}, id="a breaker whose wait is over"),
        pytest.param({"used": 98}, id="a cadence into which it just fits"),
        pytest.param({"full_domains": frozenset({"c.example"})}, id="a full domain of others"),
        pytest.param(
            {"plan": Plan(frozenset({1}), time(10), time(11), ZoneInfo("Europe/Bratislava"))},
            id="a plan whose run has begun",
        ),
    ],
)
def test_what_only_looks_like_a_hindrance_is_not_told(changes):
    (reason,) = explain(replace(MESSAGE, tasks=(replace(TASK, **changes),)))

    assert reason.startswith("nothing stands in its way")


def test_outside_a_plan_the_next_run_is_named():
    plan = Plan(frozenset({3}), time(8), time(16), ZoneInfo("Europe/Bratislava"))

    (reason,) = explain(replace(MESSAGE, tasks=(replace(TASK, plan=plan),)))

    assert "the next run starts at 2026-03-04 07:00:00 UTC" in reason


def test_all_reasons_are_told_the_widest_first():
    paused, silent = replace(TASK, active=False), replace(TASK, name="B", server_alive=False)

    reasons = explain(replace(MESSAGE, stopped="x", not_before=LATER, tasks=(paused, silent)))

    told = ["whole installation", "not to go before", "“Ponuka”: it is paused", "“B”: its OAC"]
    assert [words in reason for words, reason in zip(told, reasons, strict=True)] == [True] * 4
