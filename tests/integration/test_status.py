"""What goes on, at a glance."""

from __future__ import annotations

import io
import uuid
from datetime import timedelta

import pytest
from rich.console import Console
from sqlalchemy import text

from settings import load
from tests.support.command_line import CommandLine
from tests.support.rows import make_attempt, make_message, make_task
from worker import registry, status
from worker.cli.status import view
from worker.registry import WorkerProcess

SETTINGS = load({})


@pytest.fixture
def task(engine):
    with engine.begin() as connection:
        made = make_task(connection, name="Pozvánky", cadence=600)
    registry.beat(engine, WorkerProcess(uuid.uuid4(), "main", "host", 1, "1.0", 4))
    return made


def look(engine):
    with engine.connect() as connection:
        return status.look(connection, SETTINGS)


def change(engine, statement):
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_a_task_shows_its_backlog_what_it_sent_and_when_it_will_end(engine, task):
    with engine.begin() as connection:
        for _ in range(50):
            make_message(connection, task)
        make_message(connection, task, state="sending")
        make_attempt(connection, task, state="accepted")

    seen = look(engine)

    [one] = seen.tasks
    assert (one.backlog.least, one.on_the_way, one.sent, one.state) == (50, 1, 1, "sending")
    minutes = (one.end - seen.at) / timedelta(minutes=1)
    assert minutes == pytest.approx(51 / 10, abs=0.1)


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        pytest.param("UPDATE automatic_task SET active = false", "paused", id="paused"),
        pytest.param("UPDATE server SET paused = true", "is paused", id="its server is paused"),
        pytest.param("DELETE FROM process", "is silent", id="its server is silent"),
        pytest.param("UPDATE account SET enabled = false", "disabled", id="account disabled"),
        pytest.param(
            "UPDATE account SET breaker_why = '421', breaker_until = now() + interval '1 hour'",
            "refuses us: 421",
            id="its account refuses us",
        ),
        pytest.param(
            "UPDATE automatic_task SET plan_days = ARRAY[extract(isodow FROM now() + "
            "interval '3 days')]::smallint[], plan_from = '08:00', plan_until = '09:00'",
            "outside its plan",
            id="outside its plan",
        ),
    ],
)
def test_what_keeps_a_task_from_sending_is_its_state(statement, state, engine, task):
    change(engine, statement)

    assert state in look(engine).tasks[0].state


@pytest.mark.parametrize(
    ("statement", "notice"),
    [
        pytest.param(
            "UPDATE installation SET stopped_at = now(), stopped_why = 'výpadok'",
            "STOPPED: výpadok",
            id="stopped",
        ),
        pytest.param(
            "UPDATE installation SET stopped_at = now(), restored = true",
            "RESTORED FROM A BACKUP",
            id="restored",
        ),
        pytest.param(
            "UPDATE installation SET redirect_to = 'test@firma.example'",
            "every mail goes to test@firma.example",
            id="redirected",
        ),
        pytest.param(
            "UPDATE installation SET allowed = ARRAY['@firma.example']",
            "only listed recipients",
            id="only listed recipients",
        ),
    ],
)
def test_what_holds_for_all_is_said_first(statement, notice, engine, task):
    change(engine, statement)

    assert notice in look(engine).notices[0]


def test_it_fits_a_terminal_of_80_columns(engine, task):
    with engine.begin() as connection:
        make_message(connection, task)
    out = io.StringIO()

    Console(file=out, width=80).print(view(look(engine)))

    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("0 of 600" in line for line in lines)
    assert "OAC servers: main live (4 at once)" in out.getvalue()


def test_the_command_shows_it_once_where_nobody_watches_and_as_json(
    engine, task, database_url, tmp_path
):
    kadencia = CommandLine(tmp_path, DATABASE_URL=database_url)

    shown, told = kadencia.done("status"), kadencia.done("status", "--json")

    assert "Pozvánky (main)" in shown.out
    assert told.json["servers"] == [{"name": "main", "paused": False, "live": 1, "slots": 4}]
    assert told.json["tasks"][0]["cadence"] == 600
