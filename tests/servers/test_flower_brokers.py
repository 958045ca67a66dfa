"""Flower over RabbitMQ: what it sees there, and no password."""

from __future__ import annotations

import signal

import pytest
from kombu import Connection

from tests.support.debian_rabbitmq import RabbitMQ
from tests.support.fleet import Fleet
from tests.support.flower import running_flower
from tests.support.process_table import wait_until
from tests.support.services import service_directory

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def rabbitmq():
    with service_directory() as directory, RabbitMQ(directory / "rabbitmq") as server:
        yield server


def test_servers_and_queues_of_rabbitmq_are_shown_without_its_password(engine, redis_url, rabbitmq):
    with (
        Fleet(engine, redis_url, KADENCIA_BROKER_URL=rabbitmq.url) as fleet,
        running_flower(fleet) as flower,
    ):
        others = [fleet.beat(), fleet.worker(processes=1)]
        password = Connection(rabbitmq.url).password

        wait_until(lambda: "oac.main.sweep" in flower.get("/broker").text, PATIENCE_SECONDS)
        wait_until(lambda: flower.get("/api/tasks").json(), PATIENCE_SECONDS)

        assert flower.get("/healthcheck").status_code == 200
        pages = ("/", "/workers", "/tasks", "/broker", "/api/workers?refresh=1", "/metrics")
        assert [page for page in pages if password in flower.get(page).text] == []

        for process in others:
            fleet.end(process, signal.SIGKILL)
        rabbitmq.kill()

        assert flower.get("/healthcheck").status_code == 503
        assert flower.get("/broker").status_code == 200
