"""Processes of the fleet register themselves, leave, and are asked whether they still listen."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.support.kernel import message
from tests.support.rows import make_attempt, make_message, make_server, make_task
from worker import registry
from worker.registry import WorkerProcess

SILENT_AFTER = timedelta(seconds=30)


def process(server="main", slots=2):
    return WorkerProcess(uuid.uuid4(), server, "host", 1, "1.0", slots)


def processes(engine):
    with engine.connect() as connection:
        query = text("""
            SELECT p.*, s.name AS server, clock_timestamp() - p.beat_at AS ago
            FROM process p JOIN server s ON s.id = p.server_id ORDER BY p.started_at""")
        return connection.execute(query).all()


def fall_silent(engine, worker, seconds=60):
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE process SET beat_at = beat_at - :ago WHERE id = :id"),
            {"ago": timedelta(seconds=seconds), "id": worker.id},
        )


def test_a_server_registers_itself_with_its_first_heartbeat(engine):
    worker = process(server="new", slots=3)

    registry.beat(engine, worker)

    [row] = processes(engine)
    assert (row.id, row.server, row.slots) == (worker.id, "new", 3)
    assert abs(row.clock_offset_ms) < 1000


def test_two_hosts_that_start_at_once_share_one_server(engine):
    workers = [process(server="new") for _ in range(4)]

    threads = [threading.Thread(target=registry.beat, args=(engine, one)) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    rows = processes(engine)
    assert {row.id for row in rows} == {one.id for one in workers}
    assert len({row.server_id for row in rows}) == 1


def test_a_heartbeat_makes_a_silent_process_alive_again(engine):
    worker = process()
    registry.beat(engine, worker)
    fall_silent(engine, worker)

    registry.beat(engine, worker)

    [row] = processes(engine)
    assert row.ago < timedelta(seconds=5)


@pytest.fixture
def released(engine):
    """A released message and one that is being sent, of the server `main`."""
    with engine.begin() as connection:
        task = make_task(connection)
        return [make_message(connection, task, state=one) for one in ("released", "sending")]


def states(engine, made):
    with engine.connect() as connection:
        return [message(connection, one.id).state for one in made]


def test_the_last_process_of_a_server_that_leaves_gives_back_what_it_has_not_begun(
    engine, released
):
    worker = process()
    registry.beat(engine, worker)

    assert registry.leave(engine, worker, SILENT_AFTER) == 1

    assert processes(engine) == []
    assert states(engine, released) == ["ready", "sending"]


def test_a_process_that_leaves_others_behind_gives_nothing_back(engine, released):
    first, second = process(), process()
    registry.beat(engine, first)
    registry.beat(engine, second)

    assert registry.leave(engine, first, SILENT_AFTER) == 0

    assert states(engine, released) == ["released", "sending"]


def test_a_silent_process_is_nobody_to_leave_messages_to(engine, released):
    first, second = process(), process()
    registry.beat(engine, first)
    registry.beat(engine, second)
    fall_silent(engine, second)

    assert registry.leave(engine, first, SILENT_AFTER) == 1


def test_another_servers_messages_are_not_given_back(engine, released):
    with engine.begin() as connection:
        make_server(connection, "second")
    worker = process(server="second")
    registry.beat(engine, worker)

    assert registry.leave(engine, worker, SILENT_AFTER) == 0


def test_of_processes_that_leave_at_once_the_last_gives_back(engine, released):
    workers = [process() for _ in range(4)]
    for one in workers:
        registry.beat(engine, one)
    returned, start = [], threading.Barrier(len(workers))

    def leave(worker):
        start.wait()
        returned.append(registry.leave(engine, worker, SILENT_AFTER))

    threads = [threading.Thread(target=leave, args=(one,)) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(returned) == [0, 0, 0, 1]


def test_only_those_who_were_silent_for_a_day_are_forgotten(engine):
    alive, silent, gone = process(), process(), process()
    for one in (alive, silent, gone):
        registry.beat(engine, one)
    fall_silent(engine, silent)
    fall_silent(engine, gone, seconds=2 * 86400)

    assert registry.forget(engine) == 1

    assert registry.known(engine) == {str(alive.id), str(silent.id)}


def test_a_worker_with_a_hand_over_in_each_slot_is_busy(engine):
    worker = process()
    registry.beat(engine, worker)
    with engine.begin() as connection:
        task = make_task(connection)
    for number in range(worker.slots):
        assert not registry.answers(engine, worker)[1]
        with engine.begin() as connection:
            make_attempt(connection, task, worker=f"{worker.evidence}{number}")
            make_attempt(connection, task, worker=f"main/another/3ab0b66d/{number}")

    assert registry.answers(engine, worker) == ({}, {"send"})


def test_an_answered_canary_is_noted_for_its_part(engine):
    worker = process()
    registry.beat(engine, worker)

    registry.answer_canary(engine, worker.id, "send")

    [row] = processes(engine)
    assert registry.answers(engine, worker) == ({"send": row.send_answered_at}, set())
    assert row.send_answered_at is not None
    assert row.control_answered_at is None
    with pytest.raises(KeyError):
        registry.answer_canary(engine, worker.id, "receive")
