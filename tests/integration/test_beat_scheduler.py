"""Beat: each due task is swept once, however many beats run, and soon after something was said."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from contextlib import contextmanager

import pytest
import redis
from celery import Celery
from sqlalchemy import text

from settings.celery import BROKER_OPTIONS
from tests.support.kernel import change
from tests.support.office import closed_port
from tests.support.process_table import wait_until
from tests.support.rows import make_message, make_task
from worker.beat import Scheduler

QUEUE = "oac.main.sweep"
HASTY = {"max_retries": 1, "interval_start": 0}
"""Of kombu: how a publisher that finds no Redis gives up at once."""


class Beats:
    """Beats of one fleet, on the test's database and Redis."""

    def __init__(self, engine, redis_url):
        self.engine, self.redis_url = engine, redis_url
        self.redis = redis.Redis.from_url(redis_url)
        self._made = []

    def make(self, broker=None):
        """A beat; by itself it sleeps for no longer than a moment."""
        app = Celery("tests", set_as_current=False)
        app.conf.update(
            broker_url=broker or self.redis_url,
            broker_transport_options={**BROKER_OPTIONS, **HASTY},
            task_publish_retry=False,
        )
        made = Scheduler(app, max_interval=0.01)
        self._made.append((app, made))
        return made

    def swept(self):
        """Task and number of each sweep that was published, in order."""
        found = []
        for raw in reversed(self.redis.lrange(QUEUE, 0, -1)):
            args, _, _ = json.loads(b64decode(json.loads(raw)["body"]))
            found.append(tuple(args))
        return found

    def task(self, task):
        """A task's row, with the seconds until it is due."""
        with self.engine.connect() as connection:
            query = text("""
                SELECT *, extract(epoch FROM next_run_at - clock_timestamp()) AS due_in
                FROM automatic_task WHERE id = :id""")
            return connection.execute(query, {"id": task.id}).one()

    def close(self):
        for app, made in self._made:
            made.close()
            app.close()
        self.redis.close()


@pytest.fixture
def beats(engine, database_url, redis_url, monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("KADENCIA_DATA", str(tmp_path))
    beats = Beats(engine, redis_url)
    yield beats
    beats.close()


def now(connection):
    return connection.execute(text("SELECT clock_timestamp()")).scalar_one()


def heartbeat(connection, task, seconds_ago=0):
    """A process of the task's OAC server."""
    connection.execute(
        text("""
            INSERT INTO process (id, server_id, host, pid, version, slots, beat_at)
            VALUES (gen_random_uuid(), :server, 'host', 1, '1', 2,
                clock_timestamp() - make_interval(secs => :ago))"""),
        {"server": task.server_id, "ago": seconds_ago},
    )


def due_tasks(engine, count=1, **columns):
    """Tasks that are due now, on a server that is alive."""
    with engine.begin() as connection:
        columns = {"next_run_at": now(connection), **columns}
        tasks = [make_task(connection, **columns) for _ in range(count)]
        heartbeat(connection, tasks[0])
    return tasks


@contextmanager
def ticking(*schedulers):
    """Beats that tick until the end of the context."""
    ends = threading.Event()

    def tick(scheduler):
        while not ends.is_set():
            scheduler.tick()

    threads = [threading.Thread(target=tick, args=(one,)) for one in schedulers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ends.set()
        for thread in threads:
            thread.join()


def test_a_due_task_is_swept_and_is_due_again_only_as_a_net(engine, beats):
    [task] = due_tasks(engine)
    beat = beats.make()

    beat.tick()
    beat.tick()

    assert beats.swept() == [(task.id, 1)]
    row = beats.task(task)
    assert row.sweep_no == 1
    assert 20 < row.due_in <= 30


def test_two_beats_at_once_have_each_due_task_swept_once(engine, beats):
    tasks = due_tasks(engine, count=40)

    with ticking(beats.make(), beats.make()):
        wait_until(lambda: len(beats.swept()) >= 40)

    assert sorted(beats.swept()) == sorted((task.id, 1) for task in tasks)


@pytest.mark.parametrize(
    ("table", "of", "columns"),
    [
        pytest.param("automatic_task", "id", {"active": False}, id="a paused task"),
        pytest.param("server", "server_id", {"paused": True}, id="a paused server"),
        pytest.param("installation", None, {"stopped_at": "2026-01-01"}, id="all is stopped"),
        pytest.param("automatic_task", "id", {"next_run_at": "2040-01-01"}, id="not due"),
        pytest.param("automatic_task", "id", {"next_run_at": None}, id="idle"),
    ],
)
def test_what_is_paused_or_not_due_is_not_swept(engine, beats, table, of, columns):
    [task] = due_tasks(engine)
    with engine.begin() as connection:
        change(connection, table, getattr(task, of) if of else 1, **columns)

    beats.make().tick()

    assert beats.swept() == []


def test_the_tasks_of_a_silent_server_are_not_swept(engine, beats):
    with engine.begin() as connection:
        task = make_task(connection, next_run_at=now(connection))
        heartbeat(connection, task, seconds_ago=31)
    beat = beats.make()
    beat.tick()
    assert beats.swept() == []

    with engine.begin() as connection:
        heartbeat(connection, task)
    beat.tick()

    assert beats.swept() == [(task.id, 1)]


@pytest.mark.parametrize(
    ("channel", "waits_for"), [("kadencia_ready", "work"), ("kadencia_urgent", "slot")]
)
def test_a_message_wakes_its_task_within_a_second(engine, beats, channel, waits_for):
    [task] = due_tasks(engine, next_run_at=None, waits_for=waits_for)

    beat = beats.make()
    beat.tick()  # from now on it listens
    beat.max_interval = 300

    with ticking(beat):
        began = time.monotonic()
        with engine.begin() as connection:
            notify = text("SELECT pg_notify(:channel, :lane)")
            connection.execute(notify, {"channel": channel, "lane": str(task.lane_id)})
        wait_until(beats.swept)
        took = time.monotonic() - began

    assert took < 0.5  # it sleeps for a second, unless something wakes it


def test_what_nobody_announced_is_found_all_the_same(engine, beats):
    [task] = due_tasks(engine, next_run_at=None)
    with engine.begin() as connection:
        make_message(connection, task)

    beats.make().tick()

    assert beats.swept() == [(task.id, 1)]


def test_nonsense_on_a_channel_does_no_harm(engine, beats):
    [task] = due_tasks(engine, next_run_at=None)
    beat = beats.make()
    beat.tick()
    with engine.begin() as connection:
        for payload in ("", "x", "-1", "9" * 10, str(task.lane_id)):
            notify = text("SELECT pg_notify('kadencia_ready', :payload)")
            connection.execute(notify, {"payload": payload})

    wait_until(lambda: beat.tick() or beats.swept())

    assert beats.swept() == [(task.id, 1)]


def test_a_sweep_that_could_not_be_published_is_due_again_at_once(engine, beats):
    [task] = due_tasks(engine)
    with closed_port() as port:
        beats.make(broker=f"redis://127.0.0.1:{port}/0").tick()
    assert beats.task(task).due_in <= 0

    beats.make().tick()

    assert beats.swept() == [(task.id, 2)]


def test_beat_outlives_a_database_that_threw_it_out(engine, beats):
    [task] = due_tasks(engine, next_run_at=None)
    beat = beats.make()
    beat.tick()
    with engine.begin() as connection:
        connection.execute(
            text("""
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = 'kadencia beat'""")
        )
        change(connection, "automatic_task", task.id, next_run_at=now(connection))

    beat.tick()
    beat.tick()

    assert beats.swept() == [(task.id, 1)]
