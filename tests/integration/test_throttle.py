"""Permits: all budgets or none, asked twice, confirmed, given back, under changed limits."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterator

import pytest
import redis

from tests.support.permits import (
    HANDOVER,
    SECOND,
    WINDOW,
    PlantedClock,
    asking,
    members,
    open_throttle,
)
from tests.support.redis_clients import connect
from worker.core.pace import Pace
from worker.throttle import (
    Look,
    Refused,
    Throttle,
    ThrottleUnavailable,
    account_key,
    domain_key,
    task_key,
)
from worker.throttle.budgets import full_key

NOON = 1_800_000_000_000_000  # a number with which Redis writes 1.8e+15


@pytest.fixture
def throttle(redis_url: str) -> Throttle:
    return open_throttle(redis_url)


@pytest.fixture
def clock(throttle: Throttle, redis_url: str) -> PlantedClock:
    return PlantedClock(throttle, redis_url, NOON)


def look(throttle: Throttle, domain_limit: int | None = None) -> Look:
    return throttle.look(task_id=1, account_id=1, domain_limit=domain_limit, generation=1)


def lifetime_ms(url: str, key: str) -> int:
    client = connect(url)
    try:
        return int(client.pttl(key))
    finally:
        client.close()


@pytest.mark.parametrize(
    ("limits", "full"),
    [
        pytest.param({"limit": 2}, "task 1", id="the task's limit"),
        pytest.param({"account_limit": 2}, "SMTP account 1", id="the account's"),
        pytest.param({"domain_limit": 2}, "domain firma.example", id="the domain's"),
    ],
)
def test_each_limit_refuses_by_its_name_until_its_oldest_entry_has_gone(
    limits, full, throttle, clock
):
    for _ in range(2):
        one = asking(**limits)
        assert throttle.acquire(one) is None
        throttle.confirm(one.permit, one.budgets)
        clock.set(clock.now_us + SECOND)

    refused = throttle.acquire(asking(**limits))

    assert refused == Refused(full, NOON + WINDOW)
    clock.set(NOON + WINDOW - 1)
    assert throttle.acquire(asking(**limits)) is not None
    clock.set(NOON + WINDOW)
    assert throttle.acquire(asking(**limits)) is None
    assert throttle.acquire(asking(**limits)) is not None


def test_a_permit_refused_by_one_budget_is_counted_under_none(throttle, redis_url):
    domains = {"a.example": 1, "b.example": 3}

    assert throttle.acquire(asking(domain_limit=2, domains=domains)) is not None

    for key in (task_key(1), account_key(1), domain_key(1, "a.example")):
        assert members(redis_url, key) == []


def test_of_several_full_budgets_the_one_that_is_full_longest_is_told(throttle, clock):
    throttle.acquire(asking(domains={"a.example": 1}))
    clock.set(NOON + SECOND)
    throttle.acquire(asking(domains={"b.example": 1}))

    refused = throttle.acquire(
        asking(domain_limit=1, domains={"a.example": 1, "b.example": 1, "c.example": 1})
    )

    assert refused == Refused("domain b.example", NOON + SECOND + HANDOVER + WINDOW)
    assert set(look(throttle, domain_limit=1).full_domains) == {"a.example", "b.example"}


def test_a_message_costs_each_budget_its_own_recipients(throttle, redis_url):
    throttle.acquire(asking(domains={"a.example": 2, "b.example": 1}))

    held = {
        key: len(members(redis_url, key))
        for key in (task_key(1), account_key(1), domain_key(1, "a.example"))
    }
    assert list(held.values()) == [3, 3, 2]


def test_asked_again_a_permit_is_granted_again_and_counts_once(throttle, clock, redis_url):
    one = asking(limit=1, pace=Pace(60 * SECOND, 1))
    throttle.acquire(one)
    before = look(throttle)
    clock.set(NOON + SECOND)

    assert throttle.acquire(one) is None

    assert look(throttle).tat_us == before.tat_us
    assert members(redis_url, task_key(1)) == [(f"{one.permit}.1", NOON + HANDOVER)]


def test_a_permit_missing_in_one_budget_is_added_there_when_asked_again(throttle, redis_url):
    one = asking(pace=Pace(60 * SECOND, 1))
    throttle.acquire(one)
    before = look(throttle)
    redis.Redis.from_url(redis_url).delete(account_key(1))

    assert throttle.acquire(one) is None

    assert [name for name, _ in members(redis_url, account_key(1))] == [f"{one.permit}.1"]
    assert look(throttle).tat_us == before.tat_us


def test_a_permit_missing_in_a_full_budget_is_refused_when_asked_again(throttle, redis_url):
    one = asking(account_limit=1)
    throttle.acquire(one)
    redis.Redis.from_url(redis_url).delete(account_key(1))
    throttle.acquire(asking(account_limit=1))

    refused = throttle.acquire(one)

    assert refused is not None
    assert refused.what == "SMTP account 1"


def test_a_permit_that_no_longer_counts_is_not_granted_unseen(throttle, clock):
    one = asking(limit=1)
    throttle.acquire(one)
    throttle.confirm(one.permit, one.budgets)
    clock.set(NOON + WINDOW)

    assert throttle.acquire(one) is None

    assert look(throttle).task_used == 1


def test_a_confirmed_permit_ages_from_its_answer_and_an_open_one_from_its_latest(throttle, clock):
    answered, open_ = asking(limit=2), asking(limit=2)
    throttle.acquire(answered)
    throttle.acquire(open_)
    clock.set(NOON + 5 * SECOND)
    throttle.confirm(answered.permit, answered.budgets)

    clock.set(NOON + 5 * SECOND + WINDOW)
    assert look(throttle).task_used == 1
    clock.set(NOON + HANDOVER + WINDOW - 1)
    assert look(throttle).task_used == 1
    clock.set(NOON + HANDOVER + WINDOW)
    assert look(throttle).task_used == 0


def test_an_answer_later_than_it_can_be_counts_from_its_own_time(throttle, clock, redis_url):
    one = asking()
    throttle.acquire(one)
    redis.Redis.from_url(redis_url).pexpire(task_key(1), 60_000)
    late = NOON + HANDOVER + 100 * SECOND
    clock.set(late)

    throttle.confirm(one.permit, one.budgets)

    assert members(redis_url, task_key(1)) == [(f"{one.permit}.1", late)]
    assert lifetime_ms(redis_url, task_key(1)) > WINDOW // 1000


def test_a_confirmation_adds_nothing_to_a_log_that_lacks_the_permit(throttle, redis_url):
    one = asking()

    throttle.confirm(one.permit, one.budgets)

    assert members(redis_url, task_key(1)) == []


def test_a_permit_given_back_makes_room_at_once_and_twice_is_as_once(throttle):
    one, other = asking(limit=2), asking(limit=2)
    throttle.acquire(one)
    throttle.acquire(other)
    assert throttle.acquire(asking(limit=2)) is not None

    throttle.refund(one.permit, one.budgets)
    throttle.refund(one.permit, one.budgets)

    assert throttle.acquire(asking(limit=2)) is None
    assert throttle.acquire(asking(limit=2)) is not None


def test_a_raised_limit_admits_at_once_and_a_lowered_one_waits_for_enough_to_leave(throttle, clock):
    for _ in range(4):
        one = asking(limit=4)
        assert throttle.acquire(one) is None
        throttle.confirm(one.permit, one.budgets)
        clock.set(clock.now_us + SECOND)
    assert throttle.acquire(asking(limit=4)) is not None

    lowered = throttle.acquire(asking(limit=2))

    assert lowered == Refused("task 1", NOON + 2 * SECOND + WINDOW)  # three of four must leave
    assert throttle.acquire(asking(limit=5)) is None


def test_a_limit_below_the_cost_is_refused_for_a_window(throttle, clock):
    refused = throttle.acquire(asking(limit=2, domains={"a.example": 3}))

    assert refused == Refused("task 1", NOON + WINDOW)


def test_a_limit_set_later_counts_what_went_before(throttle):
    for _ in range(3):
        throttle.acquire(asking())

    refused = throttle.acquire(asking(account_limit=3))

    assert refused is not None
    assert refused.what == "SMTP account 1"


def test_the_reserve_is_left_to_transactional_messages(throttle):
    for _ in range(8):
        assert throttle.acquire(asking(limit=10 - 2)) is None

    assert throttle.acquire(asking(limit=10 - 2)) is not None
    assert throttle.acquire(asking(limit=10, paced=False)) is None
    assert throttle.acquire(asking(limit=10, paced=False)) is None
    assert throttle.acquire(asking(limit=10, paced=False)) is not None


def test_a_transactional_message_goes_past_the_pace_and_still_advances_it(throttle, clock):
    slow = Pace(60 * SECOND, 1)
    throttle.acquire(asking(pace=slow))
    assert throttle.acquire(asking(pace=slow)) == Refused("pace", NOON + 60 * SECOND)

    assert throttle.acquire(asking(pace=slow, paced=False)) is None

    assert throttle.acquire(asking(pace=slow)) == Refused("pace", NOON + 120 * SECOND)


def test_a_refusal_by_the_pace_leaves_no_trace(throttle, clock, redis_url):
    slow = Pace(60 * SECOND, 1)
    throttle.acquire(asking(pace=slow))
    before = look(throttle)

    throttle.acquire(asking(pace=slow))

    assert look(throttle) == before


def test_a_look_tells_what_is_used_since_when_and_which_domains_are_full(throttle, clock):
    first = asking(domain_limit=1, domains={"a.example": 1}, pace=Pace(60 * SECOND, 1))
    throttle.acquire(first)
    throttle.confirm(first.permit, first.budgets)
    clock.set(NOON + 60 * SECOND)
    throttle.acquire(
        asking(domain_limit=1, domains={"b.example": 1}, task=2, pace=Pace(60 * SECOND, 1))
    )

    seen = look(throttle, domain_limit=1)

    assert sorted(seen.full_domains) == ["a.example", "b.example"]
    assert (seen.now_us, seen.tat_us) == (NOON + 60 * SECOND, NOON + 60 * SECOND)
    assert (seen.task_used, seen.task_oldest_us) == (1, NOON)
    assert (seen.account_used, seen.account_oldest_us) == (2, NOON)
    assert seen.domain_free_at_us == NOON + WINDOW


def test_a_full_domain_is_forgotten_when_it_has_room_or_no_limit(throttle, clock):
    for limit in (1, 1):
        throttle.acquire(asking(domain_limit=limit))
    assert look(throttle, domain_limit=1).full_domains == ("firma.example",)

    assert look(throttle, domain_limit=2).full_domains == ()
    assert look(throttle, domain_limit=1).full_domains == ()  # until it is asked for again
    throttle.acquire(asking(domain_limit=1))
    assert look(throttle, domain_limit=1).full_domains == ("firma.example",)
    assert look(throttle, domain_limit=None).full_domains == ()


def test_a_lowered_domain_limit_is_free_when_enough_has_left(throttle, clock):
    for _ in range(3):
        one = asking(domain_limit=3)
        throttle.acquire(one)
        throttle.confirm(one.permit, one.budgets)
        clock.set(clock.now_us + SECOND)

    seen = look(throttle, domain_limit=2)

    assert seen.full_domains == ("firma.example",)
    assert seen.domain_free_at_us == NOON + SECOND + WINDOW


def test_what_domains_used_leaves_out_what_no_longer_counts(throttle, redis_url):
    one = asking(domains={"a.example": 2, "b.example": 1})
    throttle.acquire(one)
    old = connect(redis_url)
    old.zadd(domain_key(1, "a.example"), {"old.1": 1})
    old.close()

    used = throttle.domains_used(1, ["a.example", "b.example", "c.example"])

    assert used == {"a.example": 2, "b.example": 1, "c.example": 0}


def test_every_key_goes_by_itself_and_none_before_its_last_entry_counts(throttle, redis_url):
    one = asking(domain_limit=1, pace=Pace(60 * SECOND, 1))
    throttle.acquire(one)
    throttle.acquire(asking(domain_limit=1))
    throttle.add_permits([("kadencia:throttle:task:9", "a.1", NOON)])

    kept = (WINDOW + HANDOVER) // 1000
    for key in (task_key(1), account_key(1), domain_key(1, "firma.example"), task_key(9)):
        assert kept - 5000 < lifetime_ms(redis_url, key) <= kept
    assert 0 < lifetime_ms(redis_url, full_key(1)) <= kept
    assert 0 < lifetime_ms(redis_url, "kadencia:throttle:pace:1") <= 60_000


def test_a_refusal_alone_leaves_no_full_domain_for_ever(throttle, redis_url):
    throttle.acquire(asking())
    assert throttle.acquire(asking(domain_limit=1)) is not None

    assert lifetime_ms(redis_url, full_key(1)) > 0


def test_an_added_permit_never_counts_for_less_than_before(throttle, redis_url):
    throttle.add_permits([("kadencia:throttle:task:9", "a.1", NOON)])

    throttle.add_permits([("kadencia:throttle:task:9", "a.1", NOON - 1)])
    assert members(redis_url, task_key(9)) == [("a.1", NOON)]
    throttle.add_permits([("kadencia:throttle:task:9", "a.1", NOON + 1)])
    assert members(redis_url, task_key(9)) == [("a.1", NOON + 1)]


def test_forgotten_scripts_are_sent_again(throttle, redis_url):
    client = redis.Redis.from_url(redis_url)
    one = asking()
    for run in (
        lambda: throttle.acquire(one),
        lambda: throttle.confirm(one.permit, one.budgets),
        lambda: throttle.refund(one.permit, one.budgets),
        lambda: look(throttle),
    ):
        client.script_flush()
        run()

    assert look(throttle).task_used == 0


@pytest.fixture
def hanging_up() -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes one command on each connection and hangs up; and what it was sent."""
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while b"EVALSHA" not in (data := connection.recv(65536)) and data:
                    connection.sendall(b"+OK\r\n" * data.count(b"CLIENT"))
                heard.append(data)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0", heard
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_command_whose_answer_is_lost_is_not_repeated(hanging_up):
    url, heard = hanging_up
    throttle = Throttle(connect(url), window_us=WINDOW, handover_max_us=HANDOVER)

    with pytest.raises(ThrottleUnavailable):
        throttle.acquire(asking())

    assert len(heard) == 1


def test_an_error_does_not_hold_the_password():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = connect(f"redis://:tajomstvo@127.0.0.1:{port}/0")
    throttle = Throttle(client, window_us=WINDOW, handover_max_us=HANDOVER)

    with pytest.raises(ThrottleUnavailable) as caught:
        throttle.acquire(asking(uuid.uuid4()))

    assert "tajomstvo" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert "tajomstvo" not in repr(throttle)
