"""Recover: what time has overtaken moves on, whoever runs it and however often."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.support.kernel import (
    attempts,
    make_settings,
    make_throttle,
    message,
    recipients,
)
from tests.support.office import closed_port
from tests.support.redis_clients import connect
from tests.support.rows import make_message, make_task
from worker import db, recovery
from worker.outbox import overdue
from worker.throttle import Throttle

THREE = ["a@one.example", "b@two.example", "c@two.example"]


@pytest.fixture
def settings():
    return make_settings()


@pytest.fixture
def recover(engine, redis_url, settings):
    throttle = make_throttle(engine, redis_url, settings)
    return lambda: recovery.recover(engine, throttle, settings)


def seconds_from_now(seconds):
    return datetime.now(UTC) + timedelta(seconds=seconds)


def make(engine, *, task=None, marked=(), **columns):
    """A message; `marked` are the states of its first recipients."""
    with engine.begin() as connection:
        made = make_message(connection, task or make_task(connection), **columns)
        for position, state in enumerate(marked):
            connection.execute(
                text("UPDATE recipient SET state = :s WHERE message_id = :id AND position = :n"),
                {"s": state, "id": made.id, "n": position},
            )
    return made


def look(engine, made):
    with engine.connect() as connection:
        row = message(connection, made.id)
        return row, recipients(connection, made.id), attempts(connection, made.id)


def test_a_released_message_past_its_deadline_is_ready_again(engine, recover):
    late = make(engine, state="released", deadline=seconds_from_now(-1))
    in_time = make(engine, state="released")

    recover()

    row, _, tried = look(engine, late)
    assert (row.state, row.lease, row.attempts, tried) == ("ready", None, 0, [])
    assert row.why == "released, but no worker began it in time"
    assert look(engine, in_time)[0].state == "released"


def test_a_message_that_is_being_sent_past_its_deadline_is_unknown(engine, recover):
    late = make(engine, state="sending", deadline=seconds_from_now(-1))
    in_time = make(engine, state="sending")

    recover()
    recover()

    row, states, [tried] = look(engine, late)
    assert (row.state, row.attempts, row.unknowns) == ("unknown", 1, 1)
    assert (states, tried.state) == (["unknown"], "unknown")
    assert look(engine, in_time)[0].state == "sending"


def test_a_task_that_resends_gets_an_unknown_message_back_once(engine, recover):
    with engine.begin() as connection:
        task = make_task(connection, unknown_policy="resend")
    late = make(engine, task=task, state="sending", deadline=seconds_from_now(-1))

    recover()

    row, states, _ = look(engine, late)
    assert (row.state, row.unknowns, states) == ("ready", 1, ["pending"])


def test_paused_tasks_are_recovered_too(engine, recover):
    with engine.begin() as connection:
        task = make_task(connection, active=False)
    late = make(engine, task=task, state="released", deadline=seconds_from_now(-1))

    recover()

    assert look(engine, late)[0].state == "ready"


@pytest.mark.parametrize("state", ["ready", "held"])
@pytest.mark.parametrize(
    ("marked", "end", "states"),
    [
        pytest.param([], "expired", ["failed"] * 3, id="nobody was reached"),
        pytest.param(["sent"], "sent", ["sent", "failed", "failed"], id="somebody was"),
        pytest.param(
            ["delivered", "suppressed"],
            "sent",
            ["delivered", "suppressed", "failed"],
            id="and has it for certain",
        ),
    ],
)
def test_what_comes_too_late_is_ended(engine, recover, state, marked, end, states):
    over = seconds_from_now(-1)
    late = make(engine, recipients=THREE, state=state, marked=marked, expires_at=over)

    recover()

    row, found, _ = look(engine, late)
    assert (row.state, found) == (end, states)
    assert row.settled_at is not None


def test_more_than_a_batch_is_recovered_in_one_pass(engine, recover, monkeypatch):
    monkeypatch.setattr(overdue, "BATCH", 3)
    late = [make(engine, state="released", deadline=seconds_from_now(-1)) for _ in range(7)]

    recover()

    assert {look(engine, one)[0].state for one in late} == {"ready"}


def test_who_comes_second_leaves_the_work_to_the_first(engine, recover):
    late = make(engine, state="released", deadline=seconds_from_now(-1))

    with engine.begin() as holding:
        db.lock_alone(holding, db.Lock.RECOVERY)
        recover()
        assert look(engine, late)[0].state == "released"

    recover()
    assert look(engine, late)[0].state == "ready"


def test_many_who_recover_at_once_settle_each_message_once(engine, recover):
    late = [make(engine, state="sending", deadline=seconds_from_now(-1)) for _ in range(10)]

    threads = [threading.Thread(target=recover) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for one in late:
        row, _, tried = look(engine, one)
        assert (row.state, row.attempts, len(tried)) == ("unknown", 1, 1)


def test_a_lost_log_is_rebuilt_though_nobody_sweeps(engine, recover, services):
    services.flush_valkey()

    recover()

    with engine.connect() as connection:
        query = text("SELECT generation FROM installation")
        assert connection.execute(query).scalar_one() == 2


def test_without_redis_messages_are_recovered_all_the_same(engine, settings):
    late = make(engine, state="released", deadline=seconds_from_now(-1))
    with closed_port() as port:
        nowhere = Throttle(connect(f"redis://127.0.0.1:{port}/0"), window_us=1, handover_max_us=1)

        recovery.recover(engine, nowhere, settings)

    assert look(engine, late)[0].state == "ready"


def test_runs_that_have_nothing_to_do_are_ended(engine, recover):
    with engine.begin() as connection:
        task = make_task(connection)
        connection.execute(
            text("""
                INSERT INTO task_run (task_id, sweeps, last_sweep_at)
                VALUES (:task, 1, clock_timestamp() - interval '2 minutes')"""),
            {"task": task.id},
        )

    recover()

    with engine.connect() as connection:
        assert connection.execute(text("SELECT ended_at FROM task_run")).scalar_one() is not None
