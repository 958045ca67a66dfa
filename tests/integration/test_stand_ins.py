"""OAC servers stand in for a silent one: one is in charge at a time, and everybody knows which."""

from __future__ import annotations

import io
import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from sqlalchemy import text

from settings import load
from tests.support.rows import (
    make_message,
    make_server,
    make_sms_task,
    make_task,
)
from tests.support.shared_database import shared_engine
from worker import alarms, registry, stand_ins, status
from worker.cli.status import view
from worker.doctor import Level, fleet
from worker.doctor.findings import Installation
from worker.outbox import claims, journal, leases, reading, sms_polls, watch
from worker.outbox.figures import Count
from worker.registers import RegisterError, task_views, waking
from worker.registers import stand_ins as register
from worker.registry import WorkerProcess
from worker.status import Status

SILENT_AFTER = timedelta(seconds=30)
HOUR = timedelta(hours=1)
NONE = Count(0, False)
EMPTY = Status(datetime.now(UTC), (), (), (), NONE, NONE, NONE, (), ())
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def database(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def engine(database):
    """The module's database, in which all tasks of earlier tests are paused."""
    with database.begin() as connection:
        connection.execute(text("UPDATE automatic_task SET active = false"))
    return database


class Place:
    """An automatic task, its OAC server and another one, all of a test's own."""

    def __init__(self, engine, make=make_task, **columns):
        self.engine, number = engine, next(_numbers)
        self.main, self.reserve = f"main{number}", f"reserve{number}"
        with engine.begin() as connection:
            self.task = make(connection, server=self.main, **columns)
            self.reserve_id = make_server(connection, self.reserve)
            register.set_stand_ins(connection, self.task.id, [self.reserve])

    def beat(self, server, slots=2, sms_slots=2):
        worker = WorkerProcess(uuid.uuid4(), server, "a.example", 7, "1.0", slots, sms_slots)
        registry.beat(self.engine, worker)
        self.run(
            "UPDATE process SET started_at = started_at - interval '1 hour' WHERE id = :id",
            id=worker.id,
        )
        return worker

    def quiet(self, worker, seconds):
        """Its last heartbeat was so long ago."""
        self.run(
            "UPDATE process SET beat_at = clock_timestamp() - :ago WHERE id = :id",
            ago=timedelta(seconds=seconds),
            id=worker.id,
        )

    def run(self, statement, **values):
        with self.engine.begin() as connection:
            return connection.execute(text(statement), values)

    def look(self):
        return stand_ins.look_after(self.engine, SILENT_AFTER)

    def row(self):
        with self.engine.connect() as connection:
            query = text("SELECT * FROM automatic_task WHERE id = :id")
            return connection.execute(query, {"id": self.task.id}).one()

    def in_charge(self):
        with self.engine.connect() as connection:
            return journal.swept(connection, self.task.id).server

    def journal(self):
        with self.engine.connect() as connection:
            return [entry["event"] for entry in task_views.journal(connection, self.task, 10)]


@pytest.fixture
def place(engine):
    return Place(engine)


@pytest.fixture
def taken_over(place):
    """The reserve is in charge, since the task's own server is silent."""
    place.dead = place.beat(place.main)
    place.quiet(place.dead, 31)
    place.alive = place.beat(place.reserve)
    assert [one.server for one in place.look()] == [place.reserve]
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


def test_an_alarm_tells_who_stands_in_until_the_own_server_is_in_charge_again(taken_over):
    with taken_over.engine.begin() as connection:
        facts = watch.facts(connection, SILENT_AFTER)
        alarms.reconcile(connection, alarms.concerns(facts))
        [alarm] = [one for one in alarms.open_alarms(connection) if one.kind == "stand-in"]
    assert f"{taken_over.reserve} stands in for its OAC server {taken_over.main}" in alarm.what

    taken_over.run("UPDATE automatic_task SET acting_server_id = NULL")
    with taken_over.engine.begin() as connection:
        facts = watch.facts(connection, SILENT_AFTER)
        alarms.reconcile(connection, alarms.concerns(facts))
        assert [one for one in alarms.open_alarms(connection) if one.kind == "stand-in"] == []


def test_a_message_is_explained_by_the_server_in_charge(taken_over):
    with taken_over.engine.begin() as connection:
        made = make_message(connection, taken_over.task)
        row = reading.message(connection, made.id)
        [taker] = reading.takers(connection, row, SILENT_AFTER)

    assert (taker.facts.server, taker.facts.own_server) == (taken_over.reserve, taken_over.main)
    assert taker.facts.server_alive


def test_a_person_who_gives_the_task_another_server_is_obeyed_at_once(taken_over):
    from worker.registers.naming import find_company
    from worker.registers.tasks import find_task, set_task

    with taken_over.engine.begin() as connection:
        third = f"third{next(_numbers)}"
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


@pytest.fixture
def looks(taken_over):
    """What the doctor says of automatic tasks."""

    def found():
        with taken_over.engine.connect() as connection:
            installation = Installation(load({}), taken_over.engine, None, None, None)
            return [(one.level, one.what) for one in fleet.tasks(installation, connection)]

    return found


def test_the_doctor_warns_of_a_stand_in_and_finds_a_fault_where_none_lives(taken_over, looks):
    name = task_name(taken_over)
    stands = f"{name}: {taken_over.reserve} stands in for its OAC server {taken_over.main}"
    assert (Level.WARNING, stands) in looks()

    taken_over.run("UPDATE automatic_task SET acting_server_id = NULL")
    waits = f"{taken_over.main} is silent, and {taken_over.reserve} has not taken over yet"
    assert (Level.WARNING, f"{name}: its OAC server {waits}") in looks()

    taken_over.quiet(taken_over.alive, 31)
    alone = f"does not run, nor does {taken_over.reserve} that could stand in"
    assert (Level.FAULT, f"{name}: its OAC server {taken_over.main} {alone}") in looks()


def test_the_status_names_both_servers(taken_over):
    with taken_over.engine.connect() as connection:
        found = {one.task: one for one in status.look(connection, load({})).tasks}
    task = found[task_name(taken_over)]

    assert (task.server, task.stands_in_for) == (taken_over.reserve, taken_over.main)
    shown = Console(width=200, file=io.StringIO())
    shown.print(view(replace(EMPTY, at=datetime.now(UTC), tasks=(task,))))
    assert f"{taken_over.reserve} in place of {taken_over.main}" in shown.file.getvalue()


def test_reports_on_sms_are_asked_for_by_the_server_that_stands_in(engine):
    place = Place(engine, make_sms_task)
    place.quiet(place.beat(place.main), 31)
    place.beat(f"alive{next(_numbers)}")  # of two that could, the one that sends
    place.beat(place.reserve)
    place.look()
    with engine.begin() as connection:
        row = "SELECT base_url, integration_id FROM eurosms_account WHERE account_id = :id"
        sms_polls.ensure(
            connection, *connection.execute(text(row), {"id": place.task.account_id}).one()
        )

    with engine.begin() as connection:
        assert place.reserve in {one.server for one in sms_polls.due(connection, SILENT_AFTER)}


def task_name(place):
    return place.run("SELECT name FROM automatic_task WHERE id = :id", id=place.task.id).scalar()
