"""Beat has what services hand in by SQL taken in, soon and not too often."""

from __future__ import annotations

import json
import time
from base64 import b64decode

import pytest
import redis
from celery import Celery
from sqlalchemy import text

from settings.celery import BROKER_OPTIONS
from tests.support.process_table import wait_until
from worker.beat import Scheduler

HASTY = {"max_retries": 1, "interval_start": 0}


class Beat:
    """One beat, and what it has published."""

    def __init__(self, broker):
        self.app = Celery("tests", set_as_current=False)
        options = {**BROKER_OPTIONS, **HASTY}
        self.app.conf.update(broker_url=broker, broker_transport_options=options)
        self.app.conf.task_publish_retry = False
        self.scheduler = Scheduler(self.app, max_interval=0.01)
        self.redis = redis.Redis.from_url(broker)

    def published(self):
        self.scheduler.tick()
        raw = self.redis.lrange("kadencia.intake", 0, -1)
        bodies = [json.loads(one) for one in raw]
        assert all(json.loads(b64decode(one["body"]))[:2] == [[], {}] for one in bodies)
        return [one["headers"]["task"] for one in bodies].count("kadencia.take_in")

    def close(self):
        self.scheduler.close()
        self.app.close()
        self.redis.close()


@pytest.fixture
def beat(database_url, redis_url, monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("KADENCIA_DATA", str(tmp_path))
    made = []

    def make(broker=redis_url):
        made.append(Beat(broker))
        return made[-1]

    yield make
    for one in made:
        one.close()


def notify(engine):
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_notify('kadencia_intake', '1')"))


def test_a_beat_that_starts_looks_once_for_what_it_has_not_heard(beat):
    one = beat()

    wait_until(lambda: one.published() == 1)
    assert one.published() == 1


def test_many_who_hand_in_at_once_are_taken_in_by_few_tasks(engine, beat, monkeypatch):
    monkeypatch.setattr("worker.beat.INTAKE_SECONDS", 0.5)
    one = beat()
    wait_until(lambda: one.published() == 1)
    began = time.monotonic()

    for _ in range(30):
        notify(engine)
        one.published()

    wait_until(lambda: one.published() >= 2)
    assert one.published() <= 2 + (time.monotonic() - began) / 0.5


def test_what_could_not_be_published_is_published_later(services, beat, monkeypatch):
    monkeypatch.setattr("worker.beat.AWAY_SECONDS", 0.01)
    with services.extra_valkey() as server:
        one = beat(server.url)
        server.kill()
        one.scheduler.tick()
        server.start()

        wait_until(lambda: one.published() == 1)
