"""A real beat and real workers send through a real SMTP server."""

from __future__ import annotations

import pytest

from tests.support.fleet import Fleet
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.sink import SinkProcess

pytestmark = pytest.mark.acceptance


@pytest.fixture
def sink():
    with SinkProcess() as running:
        yield running


@pytest.fixture
def fleet(engine, redis_url):
    with Fleet(engine, redis_url) as made:
        yield made


def task_on(engine, sink, **columns):
    """A task that sends through the sink."""
    with engine.begin() as connection:
        company = make_company(connection)
        account = make_account(connection, company, port=sink.port)
        return make_task(connection, company, account, **columns)


def test_what_was_enqueued_arrives_once_each(engine, fleet, sink):
    task = task_on(engine, sink)
    with engine.begin() as connection:
        for number in range(30):
            make_message(connection, task, recipients=[f"r{number}@firma.example"])
    fleet.beat()
    fleet.worker()

    states = fleet.settled(15)

    assert states == {"sent": 30}
    arrived = [next(iter(entry["recipients"])) for entry in sink.journal()]
    assert sorted(arrived) == sorted(f"r{number}@firma.example" for number in range(30))
