"""RabbitMQ carries the tasks in quorum queues, and Redis counts the permits."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.support.debian_rabbitmq import RabbitMQ
from tests.support.fleet import Fleet
from tests.support.judge import judge
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.services import service_directory
from tests.support.sink import SinkProcess

pytestmark = pytest.mark.acceptance

WINDOW_SECONDS = 10
CADENCE = 150
MESSAGES = 250
TIMES = {
    "KADENCIA_WINDOW_SECONDS": str(WINDOW_SECONDS),
    "KADENCIA_BURST_SECONDS": "2",
    "KADENCIA_RELEASED_DEADLINE_SECONDS": "3",
}


@pytest.fixture(scope="module")
def rabbitmq():
    with service_directory() as directory, RabbitMQ(directory / "rabbitmq") as server:
        yield server


@pytest.fixture
def sink():
    with SinkProcess() as running:
        yield running


@pytest.fixture
def fleet(engine, redis_url, rabbitmq):
    with Fleet(engine, redis_url, KADENCIA_BROKER_URL=rabbitmq.url, **TIMES) as made:
        yield made


def backlog(engine, sink):
    with engine.begin() as connection:
        company = make_company(connection)
        account = make_account(connection, company, port=sink.port, most_connections=8)
        task = make_task(connection, company, account, cadence=CADENCE)
        for number in range(MESSAGES):
            make_message(connection, task, recipients=[f"r{number}@firma.example"])
        return set(connection.execute(text("SELECT message_id FROM message")).scalars())


def test_a_broker_killed_and_started_again_in_mid_load_costs_nothing_but_time(
    engine, fleet, rabbitmq, sink
):
    enqueued = backlog(engine, sink)
    fleet.beat()
    fleet.worker(processes=3)
    wait_until(lambda: len(sink.journal()) >= 50, 40)

    rabbitmq.kill()
    rabbitmq.start()
    states = fleet.settled(90)

    assert states == {"sent": MESSAGES}
    found = judge(engine, sink.journal(), enqueued, WINDOW_SECONDS * 1_000_000)
    assert (found.lost, found.doubled, found.accepted) == (0, 0, MESSAGES)
    assert found.worst <= CADENCE
