"""Losing Redis loses no message, sends none twice, and never lets the cadence be exceeded."""

from __future__ import annotations

import pytest
import redis
from sqlalchemy import text

from tests.support.fleet import Fleet
from tests.support.judge import judge
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.sink import SinkProcess

pytestmark = pytest.mark.acceptance

WINDOW_SECONDS = 10
CADENCE = 100
MESSAGES = 150
TIMES = {
    "KADENCIA_WINDOW_SECONDS": str(WINDOW_SECONDS),
    "KADENCIA_BURST_SECONDS": "5",
    "KADENCIA_QUANTUM_SECONDS": "0.1",
    "KADENCIA_RELEASED_DEADLINE_SECONDS": "3",
}


@pytest.fixture
def sink():
    with SinkProcess() as running:
        yield running


def backlog(engine, sink):
    """A task with its backlog; the Message-IDs that were enqueued."""
    with engine.begin() as connection:
        company = make_company(connection)
        account = make_account(connection, company, port=sink.port, most_connections=8)
        task = make_task(connection, company, account, cadence=CADENCE)
        for number in range(MESSAGES):
            make_message(connection, task, recipients=[f"r{number}@firma.example"])
        return set(connection.execute(text("SELECT message_id FROM message")).scalars())


def verdict(engine, sink, enqueued):
    return judge(engine, sink.journal(), enqueued, WINDOW_SECONDS * 1_000_000)


def test_a_flushed_redis_costs_nothing_but_time(engine, redis_url, sink):
    enqueued = backlog(engine, sink)
    with Fleet(engine, redis_url, **TIMES) as fleet:
        fleet.beat()
        fleet.worker()
        client = redis.Redis.from_url(redis_url)

        for arrived in (30, 70):
            wait_until(lambda least=arrived: len(sink.journal()) >= least, 40)
            client.flushall()
        states = fleet.settled(90)

        client.close()
        assert states == {"sent": MESSAGES}
    found = verdict(engine, sink, enqueued)
    assert (found.lost, found.doubled, found.accepted) == (0, 0, MESSAGES)
    assert found.worst <= CADENCE


@pytest.mark.slow
def test_a_redis_killed_and_started_again_costs_nothing_but_time(engine, services, sink):
    enqueued = backlog(engine, sink)
    with services.extra_valkey() as valkey, Fleet(engine, valkey.url, **TIMES) as fleet:
        fleet.beat()
        fleet.worker()

        wait_until(lambda: len(sink.journal()) >= 50, 40)
        valkey.kill()
        valkey.start()
        states = fleet.settled(90)

        assert states == {"sent": MESSAGES}
    found = verdict(engine, sink, enqueued)
    assert (found.lost, found.doubled, found.accepted) == (0, 0, MESSAGES)
    assert found.worst <= CADENCE


@pytest.mark.slow
def test_two_redis_masters_at_once_never_grant_more_than_one(engine, services, redis_url, sink):
    enqueued = backlog(engine, sink)
    with services.extra_valkey() as other, Fleet(engine, redis_url, **TIMES) as fleet:
        fleet.beat()
        fleet.worker()
        wait_until(lambda: len(sink.journal()) >= 30, 40)

        fleet.beat(REDIS_URL=other.url)
        fleet.start("worker", "--server", "main", "--processes", "2", REDIS_URL=other.url)
        states = fleet.settled(110)

        assert states == {"sent": MESSAGES}
    found = verdict(engine, sink, enqueued)
    assert (found.lost, found.doubled, found.accepted) == (0, 0, MESSAGES)
    assert found.worst <= CADENCE
