"""The throttle's log, rebuilt out of the attempts in PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import redis
from sqlalchemy import Engine, text

from tests.support.permits import HANDOVER, WINDOW, asking, members
from tests.support.redis_clients import connect
from tests.support.rows import MadeTask, make_attempt, make_message, make_task
from worker import db
from worker.rebuild import _fill, rebuild
from worker.throttle import (
    LogLost,
    Throttle,
    ThrottleUnavailable,
    account_key,
    domain_key,
    task_key,
)

LEEWAY = 2_000_000
"""What a slow machine may take between two readings of clocks, in µs."""


@pytest.fixture
def throttle(redis_url: str) -> Iterator[Throttle]:
    client = connect(redis_url)
    yield Throttle(client, window_us=WINDOW, handover_max_us=HANDOVER)
    client.close()


@pytest.fixture
def task(engine: Engine) -> MadeTask:
    with engine.begin() as connection:
        return make_task(connection)


def generation(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(text("SELECT generation FROM installation")).scalar_one()


def add(engine: Engine, task: MadeTask, *, age: float = 0, closed: float | None = None, **columns):
    """An attempt opened `age` seconds ago, and closed `closed` seconds ago."""
    with engine.begin() as connection:
        now = db.now(connection)
        if closed is not None:
            columns["closed_at"] = now - timedelta(seconds=closed)
        return make_attempt(connection, task, opened_at=now - timedelta(seconds=age), **columns)


def ages(url: str, key: str) -> dict[str, float]:
    """How many µs ago each entry of a log begins to age; below 0 is yet to come."""
    seconds, micros = connect(url).time()
    now = seconds * 1_000_000 + micros
    return {name: now - score for name, score in members(url, key)}


@pytest.mark.parametrize("state", ["accepted", "deferred", "rejected"])
def test_an_answered_attempt_counts_from_its_close(state, engine, throttle, task, redis_url):
    attempt = add(engine, task, age=1000, closed=900, state=state)

    assert rebuild(engine, throttle)

    assert ages(redis_url, task_key(task.id)) == {
        f"{attempt}.1": pytest.approx(900_000_000, abs=LEEWAY)
    }


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"age": 1000}, id="an open one"),
        pytest.param({"age": 1000, "closed": 280, "state": "unknown"}, id="an unknown one"),
        pytest.param({"age": 4200}, id="one so old that only its late answer counts"),
    ],
)
def test_an_attempt_without_an_answer_counts_from_its_latest(
    columns, engine, throttle, task, redis_url
):
    attempt = add(engine, task, **columns)

    rebuild(engine, throttle)

    assert ages(redis_url, task_key(task.id)) == {
        f"{attempt}.1": pytest.approx(-HANDOVER, abs=LEEWAY)
    }


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"age": 100, "closed": 99, "state": "void"}, id="a void one"),
        pytest.param({"age": 4300}, id="one older than a window and its latest answer"),
    ],
)
def test_an_attempt_that_no_window_can_hold_is_left_out(columns, engine, throttle, task, redis_url):
    add(engine, task, **columns)

    rebuild(engine, throttle)

    assert ages(redis_url, task_key(task.id)) == {}


def test_an_attempt_counts_under_every_budget_as_its_permit_did(engine, throttle, task, redis_url):
    domains = {"a.example": 2, "b.example": 1}
    keys = [
        task_key(task.id),
        account_key(task.account_id),
        domain_key(task.account_id, "a.example"),
        domain_key(task.account_id, "b.example"),
    ]
    attempt = add(engine, task, domains=domains)
    rebuild(engine, throttle)
    rebuilt = {key: {name for name, _ in members(redis_url, key)} for key in keys}

    redis.Redis.from_url(redis_url).flushall()
    throttle.begin_rebuild("n")
    throttle.end_rebuild("n", 1)
    throttle.acquire(asking(attempt, task=task.id, account=task.account_id, domains=domains))

    assert rebuilt == {key: {name for name, _ in members(redis_url, key)} for key in keys}


def test_a_whole_log_is_left_alone(engine, throttle):
    assert rebuild(engine, throttle)

    assert not rebuild(engine, throttle)
    assert generation(engine) == 1


def test_of_two_rebuilds_at_once_one_does_the_work(engine, throttle):
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: rebuild(engine, throttle), range(4)))

    assert sorted(done) == [False, False, False, True]
    assert generation(engine) == 1


def test_a_rebuild_waits_for_a_claim_under_way_and_counts_it(engine, throttle, task, redis_url):
    began, done = threading.Event(), threading.Event()

    def work() -> bool:
        began.set()
        try:
            return rebuild(engine, throttle)
        finally:
            done.set()

    with ThreadPoolExecutor(1) as pool, engine.connect() as connection:
        db.share_lock(connection, db.Lock.GENERATION)
        attempt = make_attempt(connection, task)
        result = pool.submit(work)
        began.wait()
        waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        while not connection.execute(waits).scalar_one():
            assert not done.is_set()
        connection.commit()
        assert result.result()

    assert list(ages(redis_url, task_key(task.id))) == [f"{attempt}.1"]


def test_a_claim_waits_for_a_rebuild_and_reads_its_generation(engine, throttle):
    with ThreadPoolExecutor(1) as pool:
        with engine.connect() as connection:
            db.lock_alone(connection, db.Lock.GENERATION)

            def claim() -> int:
                with engine.begin() as other:
                    db.share_lock(other, db.Lock.GENERATION)
                    return other.execute(text("SELECT generation FROM installation")).scalar_one()

            read = pool.submit(claim)
            connection.execute(text("UPDATE installation SET generation = 7"))
            connection.commit()
        assert read.result() == 7


class Losing(Throttle):
    """A throttle whose server is emptied during its first rebuilds, once they were filled."""

    losses = 0

    def add_permits(self, entries) -> None:
        super().add_permits(entries)
        if self.losses:
            self.losses -= 1
            self.client.flushall()


def losing(url: str, losses: int) -> Losing:
    throttle = Losing(connect(url), window_us=WINDOW, handover_max_us=HANDOVER)
    throttle.losses = losses
    return throttle


def test_a_log_lost_during_the_rebuild_is_filled_again(engine, task, redis_url):
    attempt = add(engine, task)
    throttle = losing(redis_url, 2)

    assert rebuild(engine, throttle)

    assert list(ages(redis_url, task_key(task.id))) == [f"{attempt}.1"]
    assert throttle.is_whole(generation(engine))


def test_a_log_lost_during_each_try_stays_shut(engine, task, redis_url):
    throttle = losing(redis_url, 1000)

    with pytest.raises(ThrottleUnavailable, match="lost the throttle's log again"):
        rebuild(engine, throttle)

    assert generation(engine) == 0
    with pytest.raises(LogLost):
        throttle.acquire(asking(generation=0))


def test_a_rebuild_whose_commit_fails_opens_nothing_for_anybody(engine, throttle, task, redis_url):
    with engine.connect() as connection:
        # What a rebuild does, up to its commit.
        db.lock_alone(connection, db.Lock.GENERATION)
        throttle.begin_rebuild("n")
        connection.execute(text("UPDATE installation SET generation = 1"))
        throttle.end_rebuild("n", 1)
        connection.rollback()
    attempt = add(engine, task)

    with pytest.raises(LogLost):
        throttle.acquire(asking(attempt, generation=generation(engine)))

    assert rebuild(engine, throttle)
    assert list(ages(redis_url, task_key(task.id))) == [f"{attempt}.1"]


def test_a_rebuild_without_redis_leaves_the_generation(engine):
    client = connect("redis://127.0.0.1:1/0")

    with pytest.raises(ThrottleUnavailable):
        rebuild(engine, Throttle(client, window_us=WINDOW, handover_max_us=HANDOVER))

    assert generation(engine) == 0


def test_a_lot_of_attempts_is_added_in_full(engine, throttle, task, redis_url):
    with engine.begin() as connection:
        message = make_message(connection, task, state="sent")
        connection.execute(
            text("""
                INSERT INTO attempt (id, message_id, task_id, account_id, worker, state,
                    opened_at, closed_at, cost, domains)
                SELECT gen_random_uuid(), :message, :task, :account, 'tests', 'accepted',
                    clock_timestamp(), clock_timestamp(), 2, '{"a.example": 2}'
                FROM generate_series(1, 6000)"""),
            {"message": message.id, "task": task.id, "account": task.account_id},
        )

    rebuild(engine, throttle)

    look = throttle.look(
        task_id=task.id, account_id=task.account_id, domain_limit=None, generation=1
    )
    assert (look.task_used, look.account_used) == (12_000, 12_000)


def test_a_rebuild_that_was_rolled_back_leaves_no_number_that_comes_again(engine, throttle):
    with engine.connect() as connection:
        assert _fill(connection, throttle)
        query = text("SELECT generation FROM installation")
        left_in_redis = connection.execute(query).scalar_one()

    assert not throttle.is_whole(generation(engine))
    assert rebuild(engine, throttle)

    assert generation(engine) != left_in_redis
    assert not throttle.is_whole(left_in_redis)
