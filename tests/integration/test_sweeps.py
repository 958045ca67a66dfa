"""A sweep: what it releases, in which order, when it looks again, and what it writes down."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
import redis
from sqlalchemy import text

from models.states import Priority
from tests.support.kernel import change, make_settings, make_throttle, message
from tests.support.redis_clients import connect
from tests.support.rows import (
    make_account,
    make_attempt,
    make_company,
    make_establishment,
    make_lane,
    make_message,
    make_server,
    make_task,
)
from tests.support.shared_database import shared_engine
from tests.support.sweeping import AT_ONCE, Sweeps, enqueue, new_task
from worker.core.plan import Plan, next_start
from worker.sweeps import Sweeper
from worker.throttle import Throttle


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


def test_a_sweep_releases_what_is_ready_and_publishes_it_after_the_commit(engine, sweeps):
    task = new_task(engine)
    ids = enqueue(engine, task, 3)

    assert sweeps.sweep(task) == ids

    with engine.connect() as connection:
        rows = [message(connection, one) for one in ids]
    assert {(row.state, row.task_id) for row in rows} == {("released", task.id)}
    assert sweeps.published == [(row.id, str(row.lease), "oac.main") for row in rows]
    for row in rows:
        left = row.deadline - datetime.now(UTC)
        assert timedelta(seconds=30) < left <= timedelta(seconds=40)


def test_what_could_not_be_published_is_ready_again_at_once(engine, throttle):
    task = new_task(engine)
    ids = enqueue(engine, task, 3)
    published = []

    def publish(name, args, queue):
        if published:
            raise ConnectionError
        published.append(args[0])

    sweeper = Sweeper(engine, throttle, make_settings(**AT_ONCE), "main", publish)
    assert sweeper.sweep(task.id, 0) == 1

    assert published == ids[:1]
    with engine.connect() as connection:
        rows = [message(connection, one) for one in ids]
    assert [row.state for row in rows] == ["released", "ready", "ready"]


def test_the_best_priority_goes_first_and_then_the_oldest(engine, sweeps):
    task = new_task(engine, account={"most_connections": 5})
    bulk = enqueue(engine, task, 2, age=600, priority=int(Priority.BULK))
    normal = enqueue(engine, task, 2, age=300)
    urgent = enqueue(engine, task, 2, age=10, priority=int(Priority.TRANSACTIONAL))

    assert sweeps.sweep(task) == [*urgent, *normal, bulk[0]]

    queues = [queue for _, _, queue in sweeps.published]
    assert queues == ["oac.main.first"] * 2 + ["oac.main"] * 3


def test_nothing_goes_before_its_time_or_after_its_expiry(engine, sweeps):
    task = new_task(engine)
    later = datetime.now(UTC) + timedelta(minutes=5)
    enqueue(engine, task, not_before=later)
    enqueue(engine, task, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    assert sweeps.sweep(task) == []

    assert sweeps.next_in(task) == pytest.approx(300, abs=5)


def test_a_task_takes_its_own_lanes_and_no_others(engine, sweeps):
    task = new_task(engine)
    other = new_task(engine)
    with engine.begin() as connection:
        mine, theirs = (make_establishment(connection, task.company_id) for _ in range(2))
        connection.execute(
            text("INSERT INTO task_establishment VALUES (:task, :establishment, :company)"),
            {"task": task.id, "establishment": mine, "company": task.company_id},
        )
        sibling = make_task(connection, task.company_id, task.account_id)
        lanes = [
            make_lane(connection, task.company_id, establishment_id=mine),
            make_lane(connection, task.company_id, establishment_id=theirs),
            make_lane(connection, task.company_id),
            sibling.lane_id,
            make_lane(connection, other.company_id),
        ]
        ids = [
            make_message(connection, other if lane == lanes[-1] else task, lane_id=lane).id
            for lane in lanes
        ]
    own = enqueue(engine, task)

    assert sorted(sweeps.sweep(task)) == sorted([ids[0], *own])
    assert sorted(sweeps.sweep(sibling)) == sorted(ids[1:4])
    assert sweeps.sweep(other) == ids[4:]


def test_a_stale_sweep_changes_nothing(engine, sweeps):
    task = new_task(engine, sweep_no=2, next_run_at=datetime(2030, 1, 1, tzinfo=UTC))
    enqueue(engine, task)

    assert sweeps.sweep(task, sweep_no=1) == []

    assert sweeps.task(task).next_run_at == datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("table", "of", "columns"),
    [
        pytest.param("automatic_task", "id", {"active": False}, id="a paused task"),
        pytest.param("server", "server_id", {"paused": True}, id="a paused server"),
    ],
)
def test_what_is_paused_releases_nothing(engine, sweeps, table, of, columns):
    task = new_task(engine)
    enqueue(engine, task)
    with engine.begin() as connection:
        change(connection, table, getattr(task, of), **columns)

    try:
        assert sweeps.sweep(task) == []
    finally:
        with engine.begin() as connection:
            change(connection, "server", task.server_id, paused=False)


def test_a_task_of_another_server_is_left_to_that_one(engine, sweeps):
    task = new_task(engine, server="second")
    enqueue(engine, task)

    assert sweeps.sweep(task) == []


def test_a_stopped_installation_releases_nothing(engine, sweeps):
    task = new_task(engine)
    enqueue(engine, task)
    with engine.begin() as connection:
        change(connection, "installation", 1, stopped_at=datetime.now(UTC))

    try:
        assert sweeps.sweep(task) == []
    finally:
        with engine.begin() as connection:
            change(connection, "installation", 1, stopped_at=None)


def test_a_task_that_was_deleted_is_not_swept(sweeps):
    assert sweeps.sweeper.sweep(10**6, 1) == 0


def test_outside_its_plan_a_task_waits_for_the_plans_next_start(engine, sweeps):
    zone = ZoneInfo("Europe/Bratislava")
    day_after_tomorrow = (datetime.now(zone) + timedelta(days=2)).isoweekday()
    task = new_task(engine, plan_days=[day_after_tomorrow], plan_from=time(8), plan_until=time(17))
    enqueue(engine, task)

    assert sweeps.sweep(task) == []

    plan = Plan(frozenset([day_after_tomorrow]), time(8), time(17), zone)
    row = sweeps.task(task)
    assert (row.next_run_at, row.waits_for) == (next_start(plan, row.now), "plan")


def test_within_its_plan_a_task_sends(engine, sweeps):
    task = new_task(
        engine, plan_days=[1, 2, 3, 4, 5, 6, 7], plan_from=time(0), plan_until=time(23, 59, 59)
    )
    ids = enqueue(engine, task)

    assert sweeps.sweep(task) == ids


def test_a_disabled_account_sends_nothing_and_is_not_asked_every_moment(engine, sweeps):
    task = new_task(engine, account={"enabled": False})
    enqueue(engine, task)

    assert sweeps.sweep(task) == []

    assert sweeps.next_in(task) == pytest.approx(30, abs=5)


def test_without_redis_nothing_is_released_and_it_is_soon_tried_again(engine):
    task = new_task(engine)
    ids = enqueue(engine, task)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port = nobody.getsockname()[1]
        deaf = Throttle(connect(f"redis://127.0.0.1:{port}/0"), window_us=1, handover_max_us=1)
        sweeps = Sweeps(engine, deaf)

        assert sweeps.sweep(task) == []

    assert sweeps.next_in(task) == pytest.approx(5, abs=2)
    with engine.connect() as connection:
        assert message(connection, ids[0]).state == "ready"


@contextmanager
def redis_without(services, command):
    """The address of the session's Redis for a user to whom one command is forbidden."""
    client = redis.Redis.from_url(services.valkey_url())
    client.execute_command("ACL", "SETUSER", "half", "on", ">half", "~*", "+@all", f"-{command}")
    try:
        yield "redis://half:half@" + services.valkey_url().rpartition("@")[2]
    finally:
        client.execute_command("ACL", "DELUSER", "half")
        client.close()


def test_redis_that_fails_halfway_leaves_nothing_released(engine, services, throttle):
    task = new_task(engine, account={"domain_hourly_limit": 5})
    ids = enqueue(engine, task)

    with redis_without(services, "zcount") as url:
        sweeps = Sweeps(engine, make_throttle(engine, url, make_settings()))
        assert sweeps.sweep(task) == []

    assert sweeps.next_in(task) == pytest.approx(5, abs=2)
    assert sweeps.task(task).waits_for == "slot"
    with engine.connect() as connection:
        assert message(connection, ids[0]).state == "ready"


def test_a_log_that_cannot_be_rebuilt_yet_is_soon_tried_again(engine, services, throttle):
    task = new_task(engine)
    enqueue(engine, task)
    with engine.begin() as connection:
        make_attempt(connection, task)

    with redis_without(services, "zadd") as url:
        sweeps = Sweeps(engine, make_throttle(engine, url, make_settings()))
        services.flush_valkey()
        assert sweeps.sweep(task) == []

    assert sweeps.next_in(task) == pytest.approx(5, abs=2)


def test_a_lost_log_is_rebuilt_and_the_sweep_goes_on(engine, sweeps, services):
    task = new_task(engine)
    ids = enqueue(engine, task)
    services.flush_valkey()

    assert sweeps.sweep(task) == ids


def test_a_run_is_opened_and_counted_in_the_journal(engine, sweeps):
    task = new_task(engine, account={"most_connections": 2})
    enqueue(engine, task, 3)
    idle = new_task(engine)

    sweeps.sweep(task)
    sweeps.sweep(task)
    sweeps.sweep(idle)

    run = sweeps.run(task)
    assert (run.sweeps, run.released, run.ended_at) == (2, 2, None)
    assert run.why_not_more == "all connections of the account are in use"
    assert sweeps.run(idle) is None


def test_two_tasks_that_share_a_lane_never_release_the_same_message(engine, sweeps):
    with engine.begin() as connection:
        company = make_company(connection)
        lane = make_lane(connection, company)
        tasks = []
        for _ in range(3):
            account = make_account(connection, company, most_connections=30)
            tasks.append(make_task(connection, company, account))
        ids = [make_message(connection, tasks[0], lane_id=lane).id for _ in range(60)]

    threads = [threading.Thread(target=sweeps.sweeper.sweep, args=(t.id, 0)) for t in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    released = [one[0] for one in sweeps.published]
    assert len(released) == len(set(released))
    assert set(released) <= set(ids)
    assert len(released) >= 30


def test_a_server_named_otherwise_publishes_to_its_own_queue(engine, throttle):
    with engine.begin() as connection:
        make_server(connection, "second")
    task = new_task(engine, server="second")
    ids = enqueue(engine, task)
    queues = []
    sweeper = Sweeper(
        engine, throttle, make_settings(), "second", lambda *_, queue, **__: queues.append(queue)
    )

    assert sweeper.sweep(task.id, 0) == len(ids)
    assert queues == ["oac.second"]
