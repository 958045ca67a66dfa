"""Which automatic tasks a message wakes, and that no wake-up is lost."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from models.states import Priority
from tests.support.kernel import change, make_settings, make_throttle
from tests.support.process_table import wait_until
from tests.support.shared_database import shared_engine
from tests.support.sweeping import Sweeps, enqueue, new_task
from worker import db
from worker.outbox import waking


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


def woken_during_a_sweep(engine, sweeps, task, wake):
    """Sweep a task, and do something after the sweep has read the task's row."""
    thread = threading.Thread(target=sweeps.sweeper.sweep, args=(task.id, 0))
    with engine.begin() as holding, engine.connect() as looking:
        db.lock_alone(holding, db.Lock.ACCOUNT, task.account_id)
        thread.start()
        waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        wait_until(lambda: looking.execute(waits).scalar_one())
        with engine.begin() as connection:
            wake(connection)
    thread.join()


@pytest.mark.parametrize(
    "wake",
    [
        pytest.param(
            lambda connection, task: waking.wake_for(connection, [task.lane_id], []),
            id="something was enqueued",
        ),
        pytest.param(
            lambda connection, task: change(connection, "automatic_task", task.id, cadence=200),
            id="the cadence was changed by hand",
        ),
        pytest.param(
            lambda connection, task: change(connection, "automatic_task", task.id, sweep_no=1),
            id="a newer sweep was called for",
        ),
    ],
)
def test_what_wakes_a_task_while_it_is_swept_is_not_lost(engine, sweeps, wake):
    soon = datetime.now(UTC) + timedelta(seconds=30)
    task = new_task(engine, next_run_at=soon)

    woken_during_a_sweep(engine, sweeps, task, lambda connection: wake(connection, task))

    assert sweeps.task(task).next_run_at is not None


@pytest.mark.parametrize("channel", ["lanes", "urgent"])
@pytest.mark.parametrize("waits_for", ["work", "domain", "slot", "connection", "plan"])
def test_only_who_waits_for_such_a_message_is_woken_by_it(engine, sweeps, waits_for, channel):
    task = new_task(engine, waits_for=waits_for)
    stranger = new_task(engine)
    lanes = {"lanes": [], "urgent": [], channel: [task.lane_id]}

    with engine.begin() as connection:
        waking.wake_for(connection, lanes["lanes"], lanes["urgent"])

    wakes = {"lanes": {"work", "domain"}, "urgent": {"work", "domain", "slot", "connection"}}
    assert (sweeps.next_in(task) is not None) is (waits_for in wakes[channel])
    assert sweeps.next_in(stranger) is None


@pytest.mark.parametrize(
    ("waits_for", "priority", "woken"),
    [
        pytest.param("work", Priority.BULK, True, id="idle"),
        pytest.param("slot", Priority.NORMAL, False, id="no slot for bulk"),
        pytest.param("slot", Priority.TRANSACTIONAL, True, id="no slot but for the urgent"),
        pytest.param("plan", Priority.TRANSACTIONAL, False, id="outside its plan"),
    ],
)
def test_the_net_catches_a_message_that_nobody_announced(
    engine, sweeps, waits_for, priority, woken
):
    later = datetime.now(UTC) + timedelta(minutes=30)
    task = new_task(engine, waits_for=waits_for, next_run_at=later)
    enqueue(engine, task, priority=int(priority))

    with engine.begin() as connection:
        waking.wake_idle(connection)

    assert (sweeps.next_in(task) < 1) is woken


def test_a_paused_task_is_not_woken(engine, sweeps):
    task = new_task(engine, active=False)
    enqueue(engine, task)

    with engine.begin() as connection:
        waking.wake_for(connection, [task.lane_id], [task.lane_id])
        waking.wake_idle(connection)

    assert sweeps.task(task).next_run_at is None
