"""What a sweep finds left, and when a task is swept again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.agenda import (
    CONNECTION_US,
    DOMAIN_US,
    UNLIMITED,
    Largest,
    Limits,
    Used,
    largest,
    room,
    wait_us,
)
from worker.core.pace import Pace, admit
from worker.core.slots import Bound

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
NOW_US = 1_800_000_000 * SECOND_US
QUANTUM_US = 3 * SECOND_US

LIMITS = Limits(
    cadence=100,
    reserve=10,
    account=50,
    domain=20,
    pace=Pace(interval_us=36 * SECOND_US, burst=1),
    window_us=HOUR_US,
)
UNUSED = Used(
    now_us=NOW_US,
    tat_us=0,
    task=0,
    task_oldest_us=0,
    account=0,
    account_oldest_us=0,
    domain_free_at_us=0,
    task_released=0,
    account_released=0,
    domains={},
)


def used(**changes):
    return replace(UNUSED, **changes)


def test_an_unused_cadence_is_left_whole():
    left = room(LIMITS, UNUSED, connections=4)

    assert (left.task, left.reserve, left.account) == (100, 10, 50)
    assert (left.paced, left.idle, left.connections) == (1, True, 4)


def test_what_is_on_its_way_to_a_worker_is_counted_like_what_went():
    left = room(LIMITS, used(task=30, task_released=5, account=40, account_released=7), 4)

    assert (left.task, left.account) == (65, 3)
    assert (left.paced, left.idle) == (0, False)


def test_an_account_without_a_limit_of_its_own_has_no_end():
    assert room(replace(LIMITS, account=None), used(account=10**9), 4).account is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, Largest(50, 50, 20), id="the account's limit is the lowest"),
        pytest.param({"account": None}, Largest(100, 90, 20), id="the reserve is not for others"),
        pytest.param(
            {"account": None, "domain": None}, Largest(100, 90, UNLIMITED), id="no limit of domains"
        ),
    ],
)
def test_no_message_may_be_larger_than_what_its_limits_ever_hold(changes, expected):
    assert largest(replace(LIMITS, **changes)) == expected


def test_the_room_does_not_share_its_count_of_domains_with_what_was_read():
    before = used(domains={"a.example": 3})

    room(LIMITS, before, 4).domain_used["a.example"] = 99

    assert before.domains == {"a.example": 3}


@pytest.mark.parametrize(
    ("bound", "changes", "released", "expected_us"),
    [
        pytest.param(Bound.CONNECTION, {}, 0, CONNECTION_US, id="a connection is soon free"),
        pytest.param(Bound.PACE, {}, 1, 36 * SECOND_US, id="the slot after the one just used"),
        pytest.param(Bound.PACE, {}, 2, 72 * SECOND_US, id="or after the two"),
        pytest.param(
            Bound.PACE, {"tat_us": NOW_US + 5}, 0, QUANTUM_US // 5, id="a slot opens right now"
        ),
        pytest.param(
            Bound.CADENCE,
            {"task_oldest_us": NOW_US - HOUR_US + 60 * SECOND_US},
            0,
            60 * SECOND_US,
            id="the cadence: when the oldest leaves the window",
        ),
        pytest.param(
            Bound.RESERVE,
            {"task_oldest_us": NOW_US - HOUR_US + 60 * SECOND_US, "account_oldest_us": NOW_US},
            0,
            60 * SECOND_US,
            id="the reserve: likewise",
        ),
        pytest.param(
            Bound.ACCOUNT,
            {"task_oldest_us": NOW_US, "account_oldest_us": NOW_US - HOUR_US + 9 * SECOND_US},
            0,
            9 * SECOND_US,
            id="the account: by its own oldest",
        ),
        pytest.param(
            Bound.ACCOUNT, {"account": 50}, 0, QUANTUM_US, id="all on its way, nothing in the log"
        ),
        pytest.param(
            Bound.CADENCE, {"task_oldest_us": NOW_US - 2 * HOUR_US}, 0, QUANTUM_US, id="long over"
        ),
        pytest.param(
            Bound.CADENCE,
            {"task_oldest_us": NOW_US + HOUR_US},
            0,
            HOUR_US,
            id="never over a window",
        ),
        pytest.param(
            Bound.DOMAIN,
            {"domain_free_at_us": NOW_US + 7 * SECOND_US},
            0,
            7 * SECOND_US,
            id="a domain: when it has room",
        ),
        pytest.param(
            Bound.DOMAIN,
            {"domain_free_at_us": NOW_US + HOUR_US},
            0,
            DOMAIN_US,
            id="but others are looked for meanwhile",
        ),
        pytest.param(Bound.DOMAIN, {}, 0, QUANTUM_US, id="a domain of which nothing is known"),
        pytest.param(
            Bound.SIZE,
            {"task_oldest_us": NOW_US},
            0,
            DOMAIN_US,
            id="what is too big is passed over for a while",
        ),
    ],
)
def test_a_task_is_swept_again_when_what_bound_it_gives_way(bound, changes, released, expected_us):
    assert wait_us(bound, LIMITS, used(**changes), released, QUANTUM_US) == expected_us


@pytest.mark.parametrize(
    ("quantum_us", "expected_us"),
    [
        pytest.param(SECOND_US, CONNECTION_US, id="half a second"),
        pytest.param(SECOND_US // 10, SECOND_US // 10, id="no more than a quantum"),
    ],
)
def test_a_task_that_lacks_connections_looks_again_soon(quantum_us, expected_us):
    assert wait_us(Bound.CONNECTION, LIMITS, UNUSED, 0, quantum_us) == expected_us


def test_a_fast_task_is_swept_once_a_quantum_and_not_for_each_slot():
    fast = replace(LIMITS, pace=Pace(interval_us=1_200_000, burst=8))

    wait = wait_us(Bound.PACE, fast, UNUSED, 8, QUANTUM_US)

    left = room(fast, used(now_us=NOW_US + wait, tat_us=NOW_US + 8 * 1_200_000), 4)
    assert left.paced == QUANTUM_US // 1_200_000


@given(
    st.sampled_from(Bound),
    st.integers(-HOUR_US, 2 * HOUR_US),
    st.integers(0, 3000),
    st.integers(1, 60 * SECOND_US),
    st.integers(1, HOUR_US),
)
def test_no_task_is_swept_without_a_pause_or_forgotten_for_over_an_hour(
    bound, ahead_us, released, quantum_us, interval_us
):
    at_us = NOW_US + ahead_us
    found = used(
        tat_us=at_us, task_oldest_us=at_us, account_oldest_us=at_us, domain_free_at_us=at_us
    )
    limits = replace(LIMITS, pace=Pace(interval_us, 8))

    wait = wait_us(bound, limits, found, released, quantum_us)

    assert min(quantum_us // 5, CONNECTION_US) <= wait <= HOUR_US


@given(st.integers(-HOUR_US, HOUR_US), st.integers(0, 20), st.integers(1, 60 * SECOND_US))
def test_the_pace_counts_what_is_on_its_way_as_if_it_had_gone(ahead_us, released, interval_us):
    pace = Pace(interval_us, burst=5)
    tat_us = NOW_US + ahead_us

    left = room(replace(LIMITS, pace=pace), used(tat_us=tat_us, task_released=released), 4)

    for _ in range(released):
        tat_us = max(tat_us, NOW_US) + interval_us
    assert (left.paced > 0) == admit(tat_us, NOW_US, pace).allowed
    assert left.idle == (tat_us <= NOW_US)
