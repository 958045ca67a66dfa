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
from tests.support.rows import make_attempt, make_message, make_sms, make_sms_task, make_task
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


@pytest.fixture
def sms_task(engine):
    with engine.begin() as connection:
        made = make_sms_task(connection, name="Pripomienky", cadence=60)
    registry.beat(engine, WorkerProcess(uuid.uuid4(), "main", "host", 1, "1.0", 4, 2))
    return made


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        pytest.param(
            "UPDATE automatic_task SET active = false, paused_why = 'NO_BALANCE'",
            "paused by Kadencia: NO_BALANCE",
            id="paused by the product",
        ),
        pytest.param(
            "UPDATE process SET sms_slots = 0",
            "no worker of OAC server main sends SMS",
            id="no worker for SMS",
        ),
        pytest.param(
            "UPDATE account SET enabled = false",
            "its account at EuroSMS is disabled",
            id="account disabled",
        ),
        pytest.param(
            "UPDATE sms_task SET exhausted_until = now() + interval '1 hour'",
            "its budget is used up",
            id="budget used up",
        ),
    ],
)
def test_what_keeps_a_task_from_sending_sms_is_its_state(statement, state, engine, sms_task):
    assert look(engine).tasks[0].state == "idle"
    change(engine, statement)

    assert look(engine).tasks[0].state == state


def test_of_sms_segments_awaited_reports_and_the_balance_are_shown(engine, sms_task):
    with engine.begin() as connection:
        sent = make_sms(connection, sms_task, state="sent")
        make_attempt(connection, sms_task, sent.id, state="accepted", domains={"+421": 3})
        seen = "UPDATE eurosms_account SET balance = 80.693, balance_at = '2026-03-02 09:05+00'"
        connection.execute(text(seen))
        connection.execute(text("UPDATE account SET name = 'brána'"))
    out = io.StringIO()

    Console(file=out, width=100).print(view(look(engine)))

    assert "Pripomienky (main, SMS)" in out.getvalue()
    assert "3 of 60" in out.getvalue()
    assert "main live (4 e-mails and 2 SMS at once)" in out.getvalue()
    assert "SMS without a final report 1" in out.getvalue()
    assert "brána 80.69 EUR at 02.03. 10:05" in out.getvalue()


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
    assert "OAC servers: main live (4 e-mails at once)" in out.getvalue()


def test_the_command_shows_it_once_where_nobody_watches_and_as_json(
    engine, task, database_url, tmp_path
):
    kadencia = CommandLine(tmp_path, DATABASE_URL=database_url)

    shown, told = kadencia.done("status"), kadencia.done("status", "--json")

    assert "Pozvánky (main)" in shown.out
    assert told.json["servers"] == [
        {"name": "main", "paused": False, "live": 1, "slots": 4, "sms_slots": 0}
    ]
    assert told.json["tasks"][0]["cadence"] == 600
