"""Which account a task goes through while some of its accounts refuse us."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from worker.core.explain import Facts, TaskFacts, explain
from worker.core.fallback import Standing, detour, in_charge

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SOON, LATER = NOW + timedelta(minutes=1), NOW + timedelta(minutes=5)
OWN = Standing(1, "hlavný")
SECOND = Standing(2, "záložný")


def own(**more: object) -> Standing:
    return Standing(1, "hlavný", **more)  # type: ignore[arg-type]


def second(**more: object) -> Standing:
    return Standing(2, "záložný", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("standings", "chosen"),
    [
        pytest.param([OWN, SECOND], 1, id="its own, when all is well"),
        pytest.param([own(enabled=False), SECOND], 2, id="the next, when its own is disabled"),
        pytest.param([own(failures=2, until=SOON), SECOND], 2, id="the next, when it refuses us"),
        pytest.param([own(failures=2, until=NOW), SECOND], 1, id="its own again, to try"),
        pytest.param(
            [own(failures=2, until=NOW, on_the_way=1), SECOND],
            2,
            id="the next, while its own is being tried",
        ),
        pytest.param(
            [own(failures=1, until=LATER), second(failures=3, until=SOON)],
            2,
            id="the one that can be tried soonest, when all refuse us",
        ),
        pytest.param(
            [own(enabled=False), second(failures=1, until=SOON)],
            2,
            id="the enabled one, when the others are disabled",
        ),
        pytest.param(
            [own(failures=1, until=NOW, on_the_way=1), second(failures=1, until=SOON)],
            1,
            id="the one that is being tried, when the others refuse us",
        ),
        pytest.param(
            [own(failures=1, on_the_way=1), second(enabled=False)],
            1,
            id="one that has failed and has no time set",
        ),
        pytest.param(
            [own(enabled=False), second(enabled=False)], 1, id="its own, when all are disabled"
        ),
        pytest.param([own(until=SOON)], 1, id="its only one, whatever it does"),
    ],
)
def test_the_account_in_charge_is(standings, chosen):
    assert in_charge(standings, NOW).account_id == chosen


@pytest.mark.parametrize(
    ("first", "why"),
    [
        pytest.param(own(enabled=False), "“hlavný” is disabled", id="disabled"),
        pytest.param(own(failures=1, until=SOON), "“hlavný” refuses us", id="left alone"),
        pytest.param(
            own(failures=1, until=SOON, why="421 busy"),
            "“hlavný” refuses us (421 busy)",
            id="left alone, and it said why",
        ),
        pytest.param(
            own(failures=1, until=NOW, on_the_way=1), "“hlavný” is being tried again", id="tried"
        ),
    ],
)
def test_a_detour_says_why_it_is_taken(first, why):
    said = detour([first, SECOND], SECOND, NOW)

    assert said == f"through the SMTP account “záložný”, since {why}"


def test_whoever_goes_through_its_own_account_takes_no_detour():
    assert detour([OWN, SECOND], OWN, NOW) is None


def test_all_that_were_passed_over_are_named():
    third = Standing(3, "tretí")

    said = detour([own(enabled=False), second(enabled=False), third], third, NOW)

    assert said is not None
    assert said.endswith("since “hlavný” is disabled, “záložný” is disabled")


def test_a_person_who_asks_is_told_of_the_detour_first():
    task = TaskFacts(
        name="Pošta",
        active=True,
        plan=None,
        server="main",
        server_alive=True,
        server_paused=False,
        account="záložný",
        account_enabled=True,
        breaker_until=None,
        breaker_why=None,
        limit=100,
        detour="through the SMTP account “záložný”, since “hlavný” is disabled",
    )
    facts = Facts(NOW, NOW, LATER, frozenset({"x"}), cost=1, tasks=(task,))

    assert explain(facts) == [
        "task “Pošta”: it goes through the SMTP account “záložný”, since “hlavný” is disabled"
    ]
