"""Why a message has not gone yet."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from worker.core.explain import Facts, TaskFacts, explain
from worker.core.plan import Plan

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
LATER = NOW + timedelta(minutes=5)
TASK = TaskFacts(
    name="Hromadná",
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
    used=10,
)
FACTS = Facts(
    now=NOW,
    not_before=NOW,
    expires_at=NOW + timedelta(days=1),
    domains=frozenset({"firma.example"}),
    cost=2,
    tasks=(TASK,),
)
NIGHTS = Plan(frozenset({1}), time(22), time(23), ZoneInfo("Europe/Bratislava"))


def test_what_nothing_stands_in_the_way_of_goes_with_the_next_sweep():
    assert explain(FACTS) == ["nothing stands in its way: it goes with the next sweep"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"active": False}, "it is paused", id="paused"),
        pytest.param({"plan": NIGHTS}, "run starts at 2026-03-02 21:00:00 UTC", id="its plan"),
        pytest.param({"server_alive": False}, "main is silent", id="server silent"),
        pytest.param(
            {"server_alive": False, "own_server": "main", "has_stand_ins": True},
            "no stand-in has taken over",
            id="server silent, and its stand-ins too",
        ),
        pytest.param(
            {"server_alive": False, "server": "reserve", "own_server": "main"},
            "OAC server reserve, which stands in for main, is silent",
            id="stand-in silent",
        ),
        pytest.param(
            {"detour": "through “záloha”, since “relay” is disabled"},
            "it goes through “záloha”, since “relay” is disabled",
            id="through an account that it falls back to",
        ),
        pytest.param(
            {"broke_until": LATER},
            "its budget in EUR is used up until 2026-03-02 12:05:00 UTC",
            id="no money left",
        ),
        pytest.param({"server_paused": True}, "main is paused", id="server paused"),
        pytest.param({"account_enabled": False}, "“relay” is disabled", id="account disabled"),
        pytest.param(
            {"breaker_until": LATER, "breaker_why": "421 later"},
            "refuses us (421 later); tried again at 2026-03-02 12:05:00 UTC",
            id="breaker open",
        ),
        pytest.param(
            {"used": 99, "free_at": LATER},
            "cadence is used up, 99 of 100; there is room again from 2026-03-02 12:05:00 UTC",
            id="cadence used up for two recipients",
        ),
        pytest.param(
            {"full_domains": frozenset({"firma.example", "iny.example"})},
            "limit of firma.example is used up",
            id="its domain full",
        ),
        pytest.param({"ahead": 7}, "7 message(s) go before it", id="others first"),
    ],
)
def test_what_stands_in_a_tasks_way_is_told_with_its_name(change, words):
    (reason,) = explain(replace(FACTS, tasks=(replace(TASK, **change),)))

    assert reason.startswith("task “Hromadná”: ")
    assert words in reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"not_before": LATER}, "not to go before 2026-03-02 12:05", id="not yet"),
        pytest.param({"expires_at": NOW}, "it has expired", id="expired"),
        pytest.param(
            {"stopped": "údržba"}, "stopped for the whole installation: údržba", id="stop"
        ),
        pytest.param({"barred": ("a@b.example",)}, "does not let a@b.example through", id="barred"),
        pytest.param({"redirect_to": "t@t.example"}, "go to t@t.example instead", id="redirected"),
        pytest.param({"throttle": "Redis gave no answer"}, "no permits", id="no throttle"),
        pytest.param({"tasks": ()}, "no automatic task of its company takes it", id="no task"),
    ],
)
def test_what_stands_in_the_messages_way_is_told(change, words):
    (reason,) = explain(replace(FACTS, **change))

    assert words in reason


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"breaker_until": NOW}, id="a breaker that has closed"),
        pytest.param({"used": 98}, id="a cadence with room for just this message"),
        pytest.param({"used": None}, id="a cadence that nobody could look at"),
        pytest.param({"full_domains": frozenset({"iny.example"})}, id="another domain full"),
        pytest.param({"plan": replace(NIGHTS, start=time(13), end=time(14))}, id="within the plan"),
    ],
)
def test_what_is_over_is_no_reason(change):
    assert explain(replace(FACTS, tasks=(replace(TASK, **change),))) == explain(FACTS)


def test_a_message_larger_than_the_limit_itself_is_told_that_it_can_never_go():
    lowered = replace(TASK, limit=1)

    reasons = explain(replace(FACTS, tasks=(lowered,)))

    assert len(reasons) == 1
    assert "it can never go" in reasons[0]


def test_every_reason_is_told_not_only_the_first():
    two = (replace(TASK, active=False, server_alive=False), replace(TASK, name="Druhá", ahead=3))

    assert len(explain(replace(FACTS, stopped="údržba", tasks=two))) == 4
