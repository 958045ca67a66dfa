"""Alarms: when they are raised, when they end, and who is told of them."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from settings import Settings, load
from tests.support.process_table import wait_until
from tests.support.rows import MadeTask, make_attempt, make_message, make_task
from worker import alarms
from worker.core.alarms import Kind

LONG_AGO = datetime.now(UTC) - timedelta(minutes=10)


def add_process(connection: Connection, task: MadeTask, beat_at: datetime | None = None) -> None:
    connection.execute(
        text(
            "INSERT INTO process (id, server_id, host, pid, version, slots, beat_at) VALUES "
            "(gen_random_uuid(), :server, 'a.example', 7, '0.1', 4, coalesce(:at, now()))"
        ),
        {"server": task.server_id, "at": beat_at},
    )


def watched(engine: Engine, settings: Settings | None = None) -> dict[str, str]:
    """Open alarms after a pass: subject by kind."""
    alarms.watch(engine, settings or load({}))
    with engine.connect() as connection:
        return {one.kind: one.subject for one in alarms.open_alarms(connection)}


@pytest.fixture
def task(engine: Engine) -> MadeTask:
    with engine.begin() as connection:
        task = make_task(connection)
        add_process(connection, task)
        return task


def test_a_healthy_fleet_raises_no_alarm(engine, task):
    with engine.begin() as connection:
        make_message(connection, task)
        make_attempt(connection, task, state="accepted")

    assert watched(engine) == {}


def test_an_unknown_message_raises_one_alarm_at_its_task_until_it_is_settled(engine, task):
    with engine.begin() as connection:
        make_message(connection, task, state="unknown")
    assert watched(engine) == {"unknown": f"task:{task.id}"}

    with engine.begin() as connection:
        make_message(connection, task, state="unknown")
    assert watched(engine) == {"unknown": f"task:{task.id}"}
    with engine.begin() as connection:
        (alarm,) = alarms.open_alarms(connection)
        assert "of 2 messages" in alarm.what
        settled = "UPDATE message SET state = 'failed', settled_at = now()"
        connection.execute(text(settled))

    assert watched(engine) == {}
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alarm")).scalar_one() == 1


def test_an_alarm_that_comes_back_is_a_new_one(engine):
    with engine.begin() as connection:
        assert alarms.raise_alarm(connection, Kind.STOPPED, "installation", "stopped")
        assert not alarms.raise_alarm(connection, Kind.STOPPED, "installation", "stopped")
        assert not alarms.raise_alarm(connection, Kind.STOPPED, "installation", "still stopped")
        assert alarms.clear_alarm(connection, Kind.STOPPED, "installation")
        assert not alarms.clear_alarm(connection, Kind.STOPPED, "installation")

        assert alarms.raise_alarm(connection, Kind.STOPPED, "installation", "stopped")


@pytest.mark.parametrize(
    ("why", "failures", "kind"),
    [
        pytest.param("auth: 535 5.7.8 no", 1, "auth", id="a refused log-in, at once"),
        pytest.param("mail: 421 4.7.0 later", 3, "breaker", id="three failures in a row"),
        pytest.param("mail: 421 4.7.0 later", 2, None, id="two may be a restart"),
    ],
)
def test_an_account_that_refuses_us_raises_an_alarm(engine, task, why, failures, kind):
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE account SET breaker_failures = :n, breaker_why = :why"),
            {"n": failures, "why": why},
        )

    assert watched(engine) == ({kind: f"smtp:{task.account_id}"} if kind else {})


@pytest.mark.parametrize(("rejected", "raised"), [(19, False), (20, True)])
def test_many_refusals_in_a_quarter_of_an_hour_raise_an_alarm(engine, task, rejected, raised):
    with engine.begin() as connection:
        message = make_message(connection, task, state="sent").id
        for _ in range(rejected):
            make_attempt(connection, task, message, state="rejected")
        make_attempt(connection, task, message, state="rejected", opened_at=LONG_AGO)
        for _ in range(50):
            make_attempt(connection, task, message, state="accepted")
        old = "UPDATE attempt SET opened_at = opened_at - interval '1 hour' WHERE opened_at < :at"
        connection.execute(text(old), {"at": LONG_AGO + timedelta(minutes=1)})

    assert ("failures" in watched(engine)) is raised


def test_a_server_that_fell_silent_and_the_task_it_leaves_behind_raise_alarms(engine):
    with engine.begin() as connection:
        task = make_task(connection, next_run_at=LONG_AGO)
        add_process(connection, task, LONG_AGO)

    assert watched(engine) == {
        "server-silent": "server:main",
        "task-without-server": f"task:{task.id}",
    }


def test_a_task_whose_server_was_stopped_raises_an_alarm_only_when_it_is_due(engine):
    with engine.begin() as connection:
        task = make_task(connection)
    assert watched(engine) == {}

    with engine.begin() as connection:
        due = "UPDATE automatic_task SET next_run_at = :at"
        connection.execute(text(due), {"at": LONG_AGO})

    assert watched(engine) == {"task-without-server": f"task:{task.id}"}


def test_stopping_all_sending_raises_an_alarm(engine, task):
    with engine.begin() as connection:
        connection.execute(text("UPDATE installation SET stopped_at = now(), stopped_why = 'test'"))

    assert watched(engine) == {"stopped": "installation"}


@contextmanager
def webhook(status: int) -> Iterator[tuple[str, list[Any]]]:
    """An address that answers so, and what it got."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/geheim", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(engine: Engine) -> int:
    with engine.connect() as connection:
        query = "SELECT count(*) FROM alarm WHERE notified_at IS NOT NULL"
        return int(connection.execute(text(query)).scalar_one())


def stop_all(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE installation SET stopped_at = now(), stopped_why = 'test'"))


def test_a_new_alarm_is_posted_once(engine, task):
    stop_all(engine)

    with webhook(204) as (url, got):
        settings = load({"KADENCIA_ALARM_WEBHOOK": url})
        alarms.watch(engine, settings)
        wait_until(lambda: told(engine) == 1)
        alarms.watch(engine, settings)

    assert [(one["kind"], one["subject"]) for one in got] == [("stopped", "installation")]


@pytest.mark.parametrize("status", [302, 500])
def test_an_alarm_that_was_not_taken_is_told_again_at_the_next_pass(engine, task, status, capsys):
    stop_all(engine)

    with webhook(status) as (url, got):
        alarms.watch(engine, load({"KADENCIA_ALARM_WEBHOOK": url}))
        wait_until(lambda: got and not alarms._telling.locked())
    assert told(engine) == 0
    assert "geheim" not in "".join(capsys.readouterr())

    with webhook(200) as (url, got):
        alarms.watch(engine, load({"KADENCIA_ALARM_WEBHOOK": url}))
        wait_until(lambda: told(engine) == 1)


def test_the_operators_program_gets_the_alarm_and_none_of_our_passwords(
    engine, task, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("REDIS_URL", "redis://:tajne@cache.example/0")
    program = tmp_path / "tell me.py"
    got = tmp_path / "got"
    program.write_text(
        "import os, pathlib, sys\n"
        "pathlib.Path(sys.argv[1]).write_text(sys.stdin.read() + str(dict(os.environ)))\n"
    )
    stop_all(engine)

    alarms.watch(engine, load({"KADENCIA_ALARM_COMMAND": f"{sys.executable} '{program}' '{got}'"}))
    wait_until(lambda: told(engine) == 1)

    words = got.read_text()
    assert '"kind": "stopped"' in words
    assert "tajne" not in words


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("/nonexistent/program", id="a program that is not there"),
        pytest.param("false", id="one that fails"),
        pytest.param("tell 'me", id="an open quotation mark"),
    ],
)
def test_a_program_that_fails_leaves_the_alarm_to_be_told_again(engine, task, command):
    stop_all(engine)

    alarms.watch(engine, load({"KADENCIA_ALARM_COMMAND": command}))
    wait_until(lambda: not alarms._telling.locked())

    assert told(engine) == 0
