"""How many messages a sweep releases, and why not more."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.slots import Bound, Candidate, Room, choose


def room(**changes):
    return Room(
        **{
            "task": 100,
            "reserve": 0,
            "account": 100,
            "paced": 100,
            "idle": False,
            "connections": 100,
            **changes,
        }
    )


def bulk(key, cost=1, domain="a.example"):
    return Candidate(key, {domain: cost}, transactional=False)


def urgent(key, cost=1, domain="a.example"):
    return Candidate(key, {domain: cost}, transactional=True)


def keys(chosen):
    return [one.key for one in chosen]


@pytest.mark.parametrize(
    ("changes", "bound"),
    [
        pytest.param({"task": 2}, Bound.CADENCE, id="the cadence"),
        pytest.param({"task": 5, "reserve": 3}, Bound.RESERVE, id="what is reserved"),
        pytest.param({"account": 2}, Bound.ACCOUNT, id="the account's hourly limit"),
        pytest.param({"paced": 2}, Bound.PACE, id="the pace"),
        pytest.param({"connections": 2}, Bound.CONNECTION, id="the connections"),
        pytest.param({"domain_limit": 2}, Bound.DOMAIN, id="the domain's hourly limit"),
    ],
)
def test_a_sweep_releases_what_fits_and_says_what_kept_it_from_more(changes, bound):
    chosen, why = choose([bulk(n) for n in range(4)], room(**changes))

    assert (keys(chosen), why) == ([0, 1], bound)


def test_a_sweep_that_releases_all_has_no_more_work():
    chosen, why = choose([bulk(1), bulk(2)], room(account=None))

    assert (keys(chosen), why) == ([1, 2], Bound.WORK)


def test_nothing_ready_is_no_work():
    assert choose([], room(task=0, connections=0)) == ([], Bound.WORK)


def test_a_full_domain_does_not_hold_up_the_others():
    waiting = [bulk(n, domain="full.example") for n in range(3)] + [bulk("other")]

    chosen, why = choose(waiting, room(domain_limit=10, domain_used={"full.example": 9}))

    assert (keys(chosen), why) == ([0, "other"], Bound.DOMAIN)


def test_a_message_to_several_domains_needs_room_in_each():
    both = Candidate("both", {"a.example": 1, "b.example": 2}, transactional=False)

    chosen, why = choose([both], room(domain_limit=2, domain_used={"b.example": 1}))

    assert (chosen, why) == ([], Bound.DOMAIN)


def test_small_messages_do_not_overtake_a_large_one_for_ever():
    chosen, why = choose([bulk("large", cost=5), bulk("small")], room(task=4))

    assert (chosen, why) == ([], Bound.CADENCE)


def test_a_transactional_message_uses_the_reserve_and_does_not_wait_for_the_pace():
    tight = room(task=3, reserve=3, paced=0)

    assert choose([bulk(1)], copy.deepcopy(tight)) == ([], Bound.RESERVE)
    assert keys(choose([urgent(1), urgent(2)], tight)[0]) == [1, 2]


def test_what_transactional_messages_took_is_missing_to_the_pace_of_the_rest():
    chosen, why = choose([urgent(1), urgent(2), bulk(3)], room(paced=2))

    assert (keys(chosen), why) == ([1, 2], Bound.PACE)


def test_an_idle_pace_lets_one_large_message_through_and_no_second():
    chosen, why = choose([bulk("large", cost=30), bulk("small")], room(paced=8, idle=True))

    assert (keys(chosen), why) == (["large"], Bound.PACE)


def test_budgets_below_nothing_release_nothing():
    chosen, _ = choose([urgent(1), bulk(2)], room(task=-5, account=-1, paced=-9, connections=-1))

    assert chosen == []


DOMAINS = st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1)
CANDIDATES = st.lists(st.builds(Candidate, st.integers(), DOMAINS, st.booleans()), max_size=12)
AMOUNTS = st.integers(-2, 25)
OPTIONAL = st.none() | AMOUNTS
ROOMS = st.builds(
    Room,
    task=AMOUNTS,
    reserve=st.integers(0, 25),
    account=OPTIONAL,
    paced=AMOUNTS,
    idle=st.booleans(),
    connections=AMOUNTS,
    domain_limit=OPTIONAL,
    domain_used=st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
)


@given(CANDIDATES, ROOMS)
def test_no_budget_is_ever_exceeded(candidates, left):
    before = copy.deepcopy(left)

    chosen, _ = choose(candidates, left)

    total = sum(one.cost for one in chosen)
    ordinary = [one for one in chosen if not one.transactional]
    by_domain = Counter(before.domain_used)
    for one in chosen:
        by_domain.update(one.domains)
    assert not chosen or total <= before.task
    assert not chosen or len(chosen) <= before.connections
    assert not chosen or before.account is None or total <= before.account
    assert not ordinary or sum(one.cost for one in ordinary) <= before.task - before.reserve
    if ordinary and not (before.idle and chosen[0] is ordinary[0]):
        assert sum(one.cost for one in ordinary) <= before.paced
    if before.domain_limit is not None:
        touched = {name for one in chosen for name in one.domains}
        assert all(by_domain[name] <= before.domain_limit for name in touched)


@given(CANDIDATES, ROOMS)
def test_messages_leave_in_their_order_and_only_a_full_domain_passes_one_over(candidates, left):
    without_domains = copy.deepcopy(left)
    without_domains.domain_limit = None

    chosen, why = choose(candidates, left)
    in_order, _ = choose(candidates, without_domains)

    rest = iter(candidates)
    assert all(any(one is other for other in rest) for one in chosen)
    assert in_order == candidates[: len(in_order)]
    if why is Bound.WORK:
        assert len(chosen) == len(candidates)


@given(CANDIDATES, ROOMS)
def test_what_is_left_is_what_was_there_without_what_was_chosen(candidates, left):
    before = copy.deepcopy(left)

    chosen, _ = choose(candidates, left)

    total = sum(one.cost for one in chosen)
    assert left.task == before.task - total
    assert left.paced == before.paced - total
    assert left.connections == before.connections - len(chosen)
    assert left.idle == (before.idle and not chosen)
