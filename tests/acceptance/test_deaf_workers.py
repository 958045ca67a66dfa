"""A worker that lives and takes nothing from its queues is noticed and started again."""

from __future__ import annotations

import time

import pytest
from celery import Celery
from sqlalchemy import text

from settings.names import first_queue, own_queue, send_queue
from tests.support.fleet import Fleet
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.sink import SinkProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]


def test_a_deaf_worker_is_started_again_within_a_minute_and_sends(engine, redis_url):
    with SinkProcess() as sink, Fleet(engine, redis_url) as fleet:
        with engine.begin() as connection:
            company = make_company(connection)
            task = make_task(connection, company, make_account(connection, company, port=sink.port))
        fleet.beat()
        fleet.worker()
        with engine.connect() as connection:
            process = str(connection.execute(text("SELECT id FROM process")).scalar_one())

        make_deaf(redis_url, process)
        with engine.begin() as connection:
            make_message(connection, task)
        began = time.monotonic()

        wait_until(lambda: "takes no tasks" in fleet.log.read_text(), 60)
        assert fleet.settled(30) == {"sent": 1}
        assert time.monotonic() - began < 80


def make_deaf(redis_url, process):
    """Have its sending part take nothing any more: it lives, and answers pings."""
    app = Celery(broker=redis_url)
    node = f"send.main.{process[:8]}@"
    names = [name for one in app.control.ping(timeout=2) or [] for name in one]
    target = [name for name in names if name.startswith(node)]
    for queue in (first_queue("main"), send_queue("main"), own_queue(process, "send")):
        app.control.cancel_consumer(queue, destination=target, reply=True, timeout=2)
    assert target
    assert app.control.ping(destination=target, timeout=2)
