"""What keeps a sweep from releasing more, and what must not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import redis
from sqlalchemy import text

from models.states import Priority
from tests.support.kernel import change, make_settings, make_throttle
from tests.support.rows import (
    make_message,
    make_task,
)
from tests.support.shared_database import shared_engine
from tests.support.sweeping import Sweeps, enqueue, new_task
from worker.registry import evidence_name


@pytest.fixture(scope="module")
def engine(services):
    services.flush_valkey()  # another database's tasks had the same numbers
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def throttle(engine, services):
    return make_throttle(engine, services.valkey_url(), make_settings())


@pytest.fixture
def sweeps(engine, throttle):
    return Sweeps(engine, throttle)


def test_a_used_up_cadence_waits_until_its_oldest_permit_leaves_the_window(engine, sweeps):
    task = new_task(engine, cadence=100)
    sweeps.use(task, {"one.example": 49}, 2)
    ids = enqueue(engine, task, 5)

    assert sweeps.sweep(task) == ids[:2]

    assert sweeps.next_in(task) == pytest.approx(3600, abs=10)
    assert sweeps.run(task).why_not_more == "the cadence is used up"
    assert sweeps.task(task).waits_for == "slot"


def test_what_is_released_counts_before_its_permit_is_asked_for(engine, sweeps):
    task = new_task(engine, cadence=100)
    sweeps.use(task, {"one.example": 97})
    ids = enqueue(engine, task, 5)

    assert sweeps.sweep(task) == ids[:3]
    assert sweeps.sweep(task) == []


def test_the_pace_lets_one_go_at_a_time(engine, throttle):
    sweeps = Sweeps(engine, throttle, KADENCIA_BURST_SECONDS="10")
    task = new_task(engine, cadence=100)
    ids = enqueue(engine, task, 3)

    assert sweeps.sweep(task) == ids[:1]

    assert sweeps.next_in(task) == pytest.approx(36, abs=5)


def test_the_reserve_lets_only_transactional_messages_through(engine, sweeps):
    task = new_task(engine, cadence=100, reserve=20)
    sweeps.use(task, {"one.example": 79})
    bulk = enqueue(engine, task, 3, priority=int(Priority.BULK))

    assert sweeps.sweep(task) == bulk[:1]
    urgent = enqueue(engine, task, 2, priority=int(Priority.TRANSACTIONAL))

    assert sweeps.sweep(task) == urgent
    assert sweeps.run(task).why_not_more == (
        "the rest of the cadence is reserved for transactional messages"
    )


def test_an_accounts_hourly_limit_holds_for_all_its_tasks_together(engine, sweeps):
    task = new_task(engine, account={"hourly_limit": 10})
    with engine.begin() as connection:
        sibling = make_task(connection, task.company_id, task.account_id)
    sweeps.use(sibling, {"one.example": 4})
    ids = enqueue(engine, sibling, 4)
    more = enqueue(engine, task, 5)

    assert sweeps.sweep(sibling) == ids
    assert sweeps.sweep(task) == more[:2]
    assert sweeps.run(task).why_not_more == "the account's hourly limit is used up"


def test_connections_are_counted_over_all_tasks_of_an_account(engine, sweeps):
    task = new_task(engine, account={"most_connections": 4})
    with engine.begin() as connection:
        sibling = make_task(connection, task.company_id, task.account_id)
        make_message(connection, sibling, state="sending")
        make_message(connection, sibling, state="released")
    ids = enqueue(engine, task, 5)

    assert sweeps.sweep(task) == ids[:2]
    assert sweeps.sweep(task) == []
    assert sweeps.task(task).waits_for == "connection"
    assert sweeps.next_in(task) < 1


@pytest.mark.parametrize(
    ("heart", "released"),
    [
        pytest.param(timedelta(seconds=10), 0, id="of a process that lives"),
        pytest.param(timedelta(seconds=40), 2, id="of one that died in mid-dialogue"),
    ],
)
def test_a_dead_process_holds_no_connections(engine, sweeps, heart, released):
    task = new_task(engine, account={"most_connections": 2})
    with engine.begin() as connection:
        process = add_process(connection, task, heart)
        made = [make_message(connection, task, state="sending") for _ in range(2)]
        connection.execute(
            text("UPDATE attempt SET worker = :worker WHERE id = ANY (:ids)"),
            {
                "worker": evidence_name("main", "mx1", process) + "77",
                "ids": [m.lease for m in made],
            },
        )
    enqueue(engine, task, 5)

    assert len(sweeps.sweep(task)) == released


def add_process(connection, task, ago):
    """A `kadencia worker` whose heart beat last so long ago; its id."""
    query = text("""
        INSERT INTO process (id, server_id, host, pid, version, slots, beat_at)
        VALUES (gen_random_uuid(), :server, 'mx1', 7, '1', 2, clock_timestamp() - :ago)
        RETURNING CAST(id AS text)""")
    return connection.execute(query, {"server": task.server_id, "ago": ago}).scalar_one()


def pile_up(engine, task, count, domain, cost=1):
    """As many ready messages as that, older than any other."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO message (company_id, lane_id, priority, not_before, expires_at,
                    domain, cost, message_id, subject)
                SELECT :company, :lane, 1, now() - interval '1 hour', now() + interval '1 day',
                    :domain, :cost, n, 'x' FROM generate_series(1, :count) AS n"""),
            {
                "company": task.company_id,
                "lane": task.lane_id,
                "domain": domain,
                "cost": cost,
                "count": count,
            },
        )


def test_one_full_domain_does_not_hold_up_the_others(engine, sweeps):
    task = new_task(engine, account={"domain_hourly_limit": 5})
    sweeps.use(task, {"full.example": 5})
    pile_up(engine, task, 2000, "full.example")
    ids = enqueue(engine, task, 3, to=["anna@free.example"])

    assert sweeps.sweep(task) == ids

    assert sweeps.run(task).why_not_more == "the hourly limit of the remaining domains is used up"
    assert sweeps.task(task).waits_for == "domain"
    assert sweeps.sweep(task) == []
    assert sweeps.next_in(task) == pytest.approx(30, abs=5)


@pytest.mark.parametrize("domain", ["firma.example", "other.example"])
def test_a_mountain_of_messages_that_can_never_fit_hides_nothing(engine, sweeps, domain):
    task = new_task(engine, account={"hourly_limit": 50})
    pile_up(engine, task, 1000, domain, cost=80)
    ids = enqueue(engine, task, 3)

    assert sweeps.sweep(task) == ids


def test_a_full_domain_of_which_the_note_was_lost_is_found_and_noted_again(
    engine, sweeps, throttle, services
):
    task = new_task(engine, account={"domain_hourly_limit": 5, "most_connections": 4})
    sweeps.use(task, {"full.example": 5})
    key = f"kadencia:throttle:full:{task.account_id}"
    client = redis.Redis.from_url(services.valkey_url())
    client.delete(key)
    enqueue(engine, task, 20, to=["a@full.example"], age=600)
    ids = enqueue(engine, task, 3, to=["anna@free.example"])

    assert sweeps.sweep(task) == ids

    assert client.smembers(key) == {b"full.example"}
    client.close()


def test_messages_of_several_domains_do_not_hold_up_others_when_one_is_full(engine, sweeps):
    task = new_task(engine, account={"domain_hourly_limit": 5, "most_connections": 3})
    sweeps.use(task, {"full.example": 5})
    enqueue(engine, task, 20, to=["a@free.example", "b@full.example"], age=600)
    ids = enqueue(engine, task, 3, to=["anna@free.example"])

    assert sweeps.sweep(task) == ids


def test_a_message_for_which_a_domain_has_too_little_room_holds_up_only_that_domain(engine, sweeps):
    task = new_task(engine, account={"domain_hourly_limit": 5, "most_connections": 3})
    sweeps.use(task, {"tight.example": 3})
    enqueue(engine, task, 20, to=[f"{n}@tight.example" for n in "abc"], age=600)
    enqueue(engine, task, 20, to=["single@tight.example"], age=500)
    ids = enqueue(engine, task, 2, to=["anna@free.example"])

    assert sweeps.sweep(task) == ids
    assert sweeps.task(task).waits_for == "domain"


@pytest.mark.parametrize(
    ("account", "columns"),
    [
        pytest.param({"hourly_limit": 2}, {}, id="the account's limit"),
        pytest.param({"domain_hourly_limit": 2}, {}, id="a domain's limit"),
        pytest.param({}, {"cadence": 100, "reserve": 98}, id="the cadence less its reserve"),
    ],
)
def test_a_message_that_can_never_fit_does_not_keep_others_from_going(
    engine, sweeps, account, columns
):
    task = new_task(engine, account={"most_connections": 3, **account}, **columns)
    enqueue(engine, task, 20, to=[f"{n}@firma.example" for n in "abc"], age=600)
    ids = enqueue(engine, task, 1)

    assert sweeps.sweep(task) == ids

    assert sweeps.run(task).why_not_more == (
        "what remains has more recipients than a limit can ever hold"
    )
    assert sweeps.next_in(task) == pytest.approx(3, abs=2)


def test_an_account_that_refuses_us_gets_nothing_and_then_one_to_try(engine, sweeps):
    until = datetime.now(UTC) + timedelta(seconds=40)
    task = new_task(engine, account={"breaker_failures": 2, "breaker_until": until})
    ids = enqueue(engine, task, 3)

    assert sweeps.sweep(task) == []
    assert sweeps.task(task).next_run_at == until

    over = datetime.now(UTC) - timedelta(seconds=1)
    with engine.begin() as connection:
        change(connection, "account", task.account_id, breaker_until=over)
    assert sweeps.sweep(task) == ids[:1]
    assert sweeps.sweep(task) == []
