"""Sweeping while PostgreSQL is away for a moment: the task need not wait for beat's net."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from tests.faults.line import Rule, Switchboard
from tests.support.kernel import make_settings, make_throttle
from tests.support.shared_database import shared_engine
from tests.support.sweeping import Sweeps, enqueue, new_task
from worker import db


@pytest.fixture(scope="module")
def engine(services):
    services.flush_valkey()  # another database's tasks had the same numbers
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def lines(engine):
    board = Switchboard()
    yield board.line_to("sweeping", engine.url.render_as_string(hide_password=False))
    board.close()


@pytest.fixture
def line(lines):
    """To the database, as the sweeping process has it."""
    return lines[0]


@pytest.fixture
def sweeps(engine, services, lines):
    throttle = make_throttle(engine, services.valkey_url(), make_settings())
    by_line = db.make_engine(lines[1], name="sweeping")
    yield Sweeps(by_line, throttle)
    by_line.dispose()


def test_a_sweep_whose_commit_was_lost_on_its_way_is_made_again(engine, sweeps, line):
    task = new_task(engine)
    ids = enqueue(engine, task, 3)
    rule = line.on(Rule(b"COMMIT"))

    assert sweeps.sweep(task) == ids

    assert rule.struck == 1


def test_a_sweep_waits_for_a_database_that_is_about_to_return(engine, sweeps, line):
    task = new_task(engine)
    ids = enqueue(engine, task, 3)
    greeting = line.on(Rule(b"user\x00", times=2))

    assert sweeps.sweep(task) == ids

    assert greeting.struck == 2


def test_a_sweep_gives_up_on_a_database_that_stays_away(engine, sweeps, line, monkeypatch):
    monkeypatch.setattr("worker.sweeps.DATABASE_AWAY_SECONDS", 0.1)
    task = new_task(engine)
    line.refuse()

    with pytest.raises(OperationalError):
        sweeps.sweep(task)
