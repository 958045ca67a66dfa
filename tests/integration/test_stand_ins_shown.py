"""Everybody is told which OAC server stands in for which."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console
from sqlalchemy import text

from settings import load
from tests.support.rows import make_message, make_sms_task
from tests.support.shared_database import shared_engine
from tests.support.stand_ins import SILENT_AFTER, Place, numbers, pause_all
from worker import alarms, status
from worker.cli.status import view
from worker.doctor import Level, fleet
from worker.doctor.findings import Installation
from worker.outbox import reading, sms_polls, watch
from worker.outbox.figures import Count
from worker.registers import servers
from worker.status import Status

NONE = Count(0, False)
EMPTY = Status(datetime.now(UTC), (), (), (), NONE, NONE, NONE, (), ())


@pytest.fixture(scope="module")
def database(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def engine(database):
    pause_all(database)
    return database


@pytest.fixture
def taken_over(engine):
    """The reserve is in charge, since the task's own server is silent."""
    place = Place(engine)
    place.hand_over()
    return place


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


@pytest.fixture
def looks(taken_over):
    """What the doctor says of automatic tasks."""

    def found():
        with taken_over.engine.connect() as connection:
            installation = Installation(load({}), taken_over.engine, None, None, None)
            return [(one.level, one.what) for one in fleet.tasks(installation, connection)]

    return found


def test_the_doctor_warns_of_a_stand_in_and_finds_a_fault_where_none_lives(taken_over, looks):
    name = taken_over.name()
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
    task = found[taken_over.name()]

    assert (task.server, task.stands_in_for) == (taken_over.reserve, taken_over.main)
    shown = Console(width=200, file=io.StringIO())
    shown.print(view(replace(EMPTY, at=datetime.now(UTC), tasks=(task,))))
    assert f"{taken_over.reserve} in place of {taken_over.main}" in shown.file.getvalue()


def test_reports_on_sms_are_asked_for_by_the_server_that_stands_in(engine):
    place = Place(engine, make_sms_task)
    place.quiet(place.beat(place.main), 31)
    place.beat(f"alive{next(numbers)}")  # of two that could, the one that sends
    place.beat(place.reserve)
    place.look()
    with engine.begin() as connection:
        row = "SELECT base_url, integration_id FROM eurosms_account WHERE account_id = :id"
        sms_polls.ensure(
            connection, *connection.execute(text(row), {"id": place.task.account_id}).one()
        )

    with engine.begin() as connection:
        assert place.reserve in {one.server for one in sms_polls.due(connection, SILENT_AFTER)}


def test_the_list_of_servers_tells_for_how_many_tasks_each_stands_in(taken_over):
    with taken_over.engine.connect() as connection:
        spans = dict.fromkeys(("silent_after", "window", "longest"), SILENT_AFTER)
        found = {one["name"]: one for one in servers.servers(connection, **spans)}

    assert (found[taken_over.main]["tasks"], found[taken_over.main]["stands_in"]) == (0, 0)
    assert (found[taken_over.reserve]["tasks"], found[taken_over.reserve]["stands_in"]) == (1, 1)
