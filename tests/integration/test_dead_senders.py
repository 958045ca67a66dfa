"""What a sending process that died had in hand is noticed before its deadline."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pytest
from sqlalchemy import text

from tests.support.kernel import message
from tests.support.rows import make_message, make_task
from tests.support.shared_database import rolled_back, shared_engine
from worker.fleet.worker import is_dead
from worker.outbox import overdue
from worker.registry import WorkerProcess

OURS = WorkerProcess(uuid.uuid4(), "main", "mx1", pid=1, version="1", slots=2)


@pytest.fixture(scope="module")
def shared(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def connection(shared):
    with rolled_back(shared, "tests") as connection:
        yield connection


@pytest.fixture(scope="module")
def dead_pid():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def being_sent_by(connection, name):
    made = make_message(connection, make_task(connection), state="sending")
    connection.execute(
        text("UPDATE attempt SET worker = :name WHERE id = :id"), {"name": name, "id": made.lease}
    )
    return made


def test_what_a_dead_process_of_ours_was_sending_is_taken_for_unknown_at_once(connection, dead_pid):
    made = being_sent_by(connection, f"{OURS.evidence}{dead_pid}")

    assert overdue.end_of_dead(connection, OURS.evidence, is_dead) == 1
    assert overdue.end_of_dead(connection, OURS.evidence, is_dead) == 0
    overdue.take_for_unknown(connection)

    assert message(connection, made.id).state == "unknown"


def test_what_others_or_the_living_send_is_left_alone(connection, dead_pid):
    living = being_sent_by(connection, f"{OURS.evidence}{os.getpid()}")
    anothers = being_sent_by(connection, f"main/mx2/{uuid.uuid4().hex[:8]}/{dead_pid}")

    assert overdue.end_of_dead(connection, OURS.evidence, is_dead) == 0
    overdue.take_for_unknown(connection)

    assert {message(connection, one.id).state for one in (living, anothers)} == {"sending"}
