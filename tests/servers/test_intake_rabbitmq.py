"""Enqueueing by Celery over RabbitMQ: the documentation's example, and a worker that is killed."""

from __future__ import annotations

import signal

import pytest
from celery import Celery
from sqlalchemy import text

from tests.support.debian_rabbitmq import RabbitMQ
from tests.support.elsewhere import Elsewhere, examples
from tests.support.fleet import Fleet
from tests.support.process_table import wait_until
from tests.support.rows import make_company
from tests.support.services import service_directory

pytestmark = pytest.mark.acceptance

MESSAGES = 200


def keys(engine):
    with engine.connect() as connection:
        found = connection.execute(text("SELECT idempotency_key FROM message")).scalars().all()
    assert len(found) == len(set(found))
    return set(found)


def test_the_example_works_and_a_worker_killed_in_between_loses_nothing(
    engine, redis_url, tmp_path
):
    with engine.begin() as connection:
        make_company(connection)
    with (
        service_directory() as directory,
        RabbitMQ(directory / "rabbitmq") as rabbitmq,
        Fleet(engine, redis_url, KADENCIA_BROKER_URL=rabbitmq.url) as fleet,
        Celery(broker=rabbitmq.url, set_as_current=False) as app,
    ):
        app.conf.task_create_missing_queue_type = "quorum"
        fleet.beat()
        worker = fleet.worker(processes=1)

        Elsewhere(tmp_path / "venv").run(examples()["celery"], BROKER_URL=rabbitmq.url)
        for number in range(MESSAGES):
            document = {"schema": 1, "to": ["a@b.example"], "subject": "A", "text": "B"}
            document["idempotency_key"] = str(number)
            given = {"kwargs": {"document": document}, "queue": "kadencia.enqueue"}
            app.send_task("kadencia.enqueue_email", **given)
        wait_until(lambda: len(keys(engine)) > 5, 30)
        fleet.end(worker, signal.SIGKILL)
        fleet.worker(processes=1)

        wait_until(lambda: len(keys(engine)) == MESSAGES + 1, 60)
    assert keys(engine) == {"faktura-2026-19", *map(str, range(MESSAGES))}
