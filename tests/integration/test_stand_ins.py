"""OAC servers stand in for a silent one: one is in charge at a time, and everybody knows which."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.support.rows import make_message, make_server, make_sms_task
from tests.support.shared_database import shared_engine
from tests.support.stand_ins import SILENT_AFTER, Place, numbers, pause_all
from worker import registry
from worker.outbox import claims, leases
from worker.registers import RegisterError, waking
from worker.registers import stand_ins as register
from worker.registers.naming import find_company
from worker.registers.tasks import find_task, set_task

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def database(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def engine(database):
    pause_all(database)
    return database


@pytest.fixture
def place(engine):
    return Place(engine)


@pytest.fixture
def taken_over(engine):
    """The reserve is in charge, since the task's own server is silent."""
    place = Place(engine)
    place.hand_over()
    return place


def test_a_stand_in_takes_over_with_an_entry_in_journal_and_audit_log(taken_over):
    assert taken_over.in_charge() == taken_over.reserve
    why = f"{taken_over.main} has been silent for 31 s"
    assert taken_over.journal() == [
        f"{taken_over.reserve} takes over from {taken_over.main}: {why}"
    ]
    logged = taken_over.run(
        "SELECT who, action, before, after FROM audit_log WHERE subject = :task AND who = 'beat'",
        task=f"task:{taken_over.task.id}",
    ).one()
    assert logged == (
        "beat",
        "stand in",
        {"in_charge": taken_over.main},
        {"in_charge": taken_over.reserve, "why": why},
    )


def test_the_task_is_swept_at_once_and_an_older_sweep_is_stale(place):
    place.quiet(place.beat(place.main), 31)
    place.beat(place.reserve)
    place.run("UPDATE automatic_task SET next_run_at = NULL, sweep_no = 7")

    place.look()

    row = place.row()
    assert row.sweep_no == 8
    assert row.next_run_at is not None


def test_of_two_beats_that_see_the_same_silence_one_moves_the_task(place):
    place.quiet(place.beat(place.main), 31)
    place.beat(place.reserve)

    with ThreadPoolExecutor(4) as pool:
        changed = [one for found in pool.map(lambda _: place.look(), range(4)) for one in found]

    assert len(changed) == 1
    assert len(place.journal()) == 1


def test_a_task_whose_row_somebody_holds_keeps_no_beat_waiting(place):
    place.quiet(place.beat(place.main), 31)
    place.beat(place.reserve)

    with place.engine.begin() as connection:
        connection.execute(text("SELECT FROM automatic_task FOR UPDATE"))
        assert place.look() == []

    assert len(place.look()) == 1


def test_what_the_silent_server_was_given_goes_back_and_its_claim_is_refused(place):
    place.quiet(place.beat(place.main), 31)
    place.beat(place.reserve)
    with place.engine.begin() as connection:
        given = make_message(connection, place.task, state="released")
        begun = make_message(connection, place.task, state="sending")

    place.look()

    states = "SELECT id, state FROM message WHERE task_id = :task"
    assert dict(place.run(states, task=place.task.id).all()) == {
        given.id: "ready",
        begun.id: "sending",
    }
    with place.engine.begin() as connection:
        [lease] = leases.lease(connection, place.task.id, [given.id], HOUR)
        asked = {"worker": "tests", "deadline": HOUR}
        assert claims.claim(connection, given.id, lease.token, server=place.main, **asked) is None
        [lease] = leases.lease(connection, place.task.id, [given.id], HOUR)
        claim = claims.claim(connection, given.id, lease.token, server=place.reserve, **asked)
        assert claim is not None


def test_its_own_server_takes_the_task_back_once_it_has_been_there_for_a_minute(taken_over):
    taken_over.quiet(taken_over.dead, 1)

    assert taken_over.look() == []
    assert taken_over.row().back_since is not None
    taken_over.run("UPDATE automatic_task SET back_since = back_since - interval '59 seconds'")
    assert taken_over.look() == []
    taken_over.run("UPDATE automatic_task SET back_since = back_since - interval '2 seconds'")
    assert [one.server for one in taken_over.look()] == [taken_over.main]

    row = taken_over.row()
    assert (row.acting_server_id, row.back_since) == (None, None)
    assert taken_over.in_charge() == taken_over.main
    assert "has been back for 61 s" in taken_over.journal()[0]


def test_a_server_that_comes_and_goes_does_not_take_its_task_back(taken_over):
    taken_over.quiet(taken_over.dead, 1)
    taken_over.look()

    taken_over.quiet(taken_over.dead, 40)
    taken_over.look()

    assert taken_over.row().back_since is None
    assert taken_over.in_charge() == taken_over.reserve


def test_a_server_that_was_stopped_in_order_is_missed_after_the_time_too(place):
    worker = place.beat(place.main)
    place.beat(place.reserve)
    registry.leave(place.engine, worker, SILENT_AFTER)

    assert place.look() == []

    place.run("UPDATE server SET left_at = left_at - interval '31 seconds'")
    assert [one.server for one in place.look()] == [place.reserve]


def test_a_task_may_bear_a_longer_silence_than_others(engine):
    place = Place(engine, stand_in_after=90)
    worker = place.beat(place.main)
    place.beat(place.reserve)

    place.quiet(worker, 80)
    assert place.look() == []

    place.quiet(worker, 91)
    assert len(place.look()) == 1


def test_a_stand_in_without_processes_for_sms_is_passed_over_by_a_task_that_sends_sms(engine):
    place = Place(engine, make_sms_task)
    place.quiet(place.beat(place.main), 31)
    place.beat(place.reserve, slots=4, sms_slots=0)

    assert place.look() == []

    place.beat(place.reserve, slots=0, sms_slots=1)
    assert [one.server for one in place.look()] == [place.reserve]


def test_a_stand_in_with_a_worker_of_version_0_1_0_is_passed_over(place):
    place.quiet(place.beat(place.main), 31)
    old = place.beat(place.reserve)
    place.beat(place.reserve)
    place.run("UPDATE process SET stands_in = false WHERE id = :id", id=old.id)

    assert place.look() == []


def test_a_stand_in_that_has_just_started_waits_for_the_others_of_its_fleet(place):
    started = place.beat(place.reserve)
    place.run("UPDATE process SET started_at = clock_timestamp() WHERE id = :id", id=started.id)
    assert place.look() == []

    place.beat(place.reserve)  # another of it has been there for an hour
    assert [one.why for one in place.look()] == [f"{place.main} has never been heard of"]


def test_a_paused_task_stays_where_it_is(place):
    place.quiet(place.beat(place.main), 31)
    place.beat(place.reserve)
    place.run("UPDATE automatic_task SET active = false")

    assert place.look() == []


def test_the_reserve_that_stops_gives_back_what_it_was_given(taken_over):
    with taken_over.engine.begin() as connection:
        make_message(connection, taken_over.task, state="released")

    assert registry.leave(taken_over.engine, taken_over.alive, SILENT_AFTER) == 1


def test_a_person_who_gives_the_task_another_server_is_obeyed_at_once(taken_over):
    with taken_over.engine.begin() as connection:
        third = f"third{next(numbers)}"
        make_server(connection, third)
        names = "SELECT c.name, t.name FROM company c JOIN automatic_task t ON c.id = t.company_id"
        company, name = connection.execute(
            text(f"{names} WHERE t.id = :id"), {"id": taken_over.task.id}
        ).one()
        owner = find_company(connection, company)
        task = find_task(connection, owner, name, lock=True)
        set_task(connection, task, owner, {"server": third})

    assert taken_over.in_charge() == third


@pytest.mark.parametrize(
    ("names", "why"),
    [
        pytest.param(["{main}"], "is the task's own server", id="its own server"),
        pytest.param(["{reserve}", "{reserve}"], "is named twice", id="one server twice"),
        pytest.param(
            ["nowhere"], "there is no OAC server 'nowhere'", id="a server that is not there"
        ),
        pytest.param([f"x{n}" for n in range(10)], "10 servers are to stand in", id="too many"),
    ],
)
def test_servers_that_cannot_stand_in_are_refused(place, names, why):
    named = [one.format(main=place.main, reserve=place.reserve) for one in names]

    with pytest.raises(RegisterError, match=why), place.engine.begin() as connection:
        register.set_stand_ins(connection, place.task.id, named)

    with place.engine.connect() as connection:
        assert register.stand_ins_of(connection, place.task.id) == [place.reserve]


def test_a_server_that_is_resumed_wakes_the_tasks_that_it_stands_in_for(taken_over):
    taken_over.run("UPDATE automatic_task SET next_run_at = NULL")

    with taken_over.engine.begin() as connection:
        assert waking.wake(connection, server=taken_over.reserve_id) == 1
        assert waking.wake(connection, server=taken_over.task.server_id) == 0
