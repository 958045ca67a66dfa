"""What the doctor finds, and that it says how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, text

from settings import load
from tests.support.redis_clients import connect
from tests.support.rows import MadeTask, make_account, make_attempt, make_message, make_task
from tests.support.services import Services
from tests.support.sink import SinkProcess
from worker import alarms, db
from worker.core.alarms import Kind
from worker.doctor import Finding, Installation, Level, examine
from worker.doctor.servers import clock, eviction, persistence
from worker.rebuild import rebuild
from worker.registry import evidence_name
from worker.throttle import Throttle
from worker.vault import Vault

VAULT = Vault([Fernet.generate_key().decode()])
AGO = datetime.now(UTC) - timedelta(minutes=5)

Look = Callable[..., dict[str, Finding]]


def found_by(installation: Installation) -> dict[str, Finding]:
    """Findings that are not in order, by name."""
    return {one.name: one for one in examine(installation) if one.level is not Level.OK}


@pytest.fixture
def task(engine: Engine, redis_url: str) -> MadeTask:
    """An automatic task whose OAC server lives and listens, and an open throttle."""
    with engine.begin() as connection:
        task = make_task(connection)
        add_process(connection, task)
        connection.execute(text("UPDATE installation SET generation = 1"))
    rebuild(engine, throttle_of(redis_url))
    return task


def throttle_of(redis_url: str) -> Throttle:
    return Throttle(connect(redis_url), window_us=3_600_000_000, handover_max_us=660_000_000)


def add_process(connection: Any, task: MadeTask, **columns: Any) -> None:
    now = datetime.now(UTC)
    values = {
        "started_at": AGO,
        "beat_at": now,
        "control_answered_at": now,
        "send_answered_at": now,
        "clock_offset_ms": 0.0,
        **columns,
    }
    connection.execute(
        text(
            "INSERT INTO process (id, server_id, host, pid, version, slots, started_at, beat_at, "
            "control_answered_at, send_answered_at, clock_offset_ms) VALUES (gen_random_uuid(), "
            ":server, 'a.example', 7, '0.1', 1, :started_at, :beat_at, :control_answered_at, "
            ":send_answered_at, :clock_offset_ms)"
        ),
        {"server": task.server_id, **values},
    )


@pytest.fixture
def look(engine: Engine, redis_url: str) -> Iterator[Look]:
    client = connect(redis_url)

    def at(vault: Vault = VAULT, smtp: bool = False) -> dict[str, Finding]:
        return found_by(
            Installation(load({}), engine, client, throttle_of(redis_url), vault, smtp=smtp)
        )

    yield at
    client.close()


def test_an_installation_in_order_gives_no_cause_for_complaint(engine, task, look):
    # The tests' PostgreSQL may lose its data: that, the doctor must say.
    assert list(look()) == ["durability"]
    assert look()["durability"].level is Level.FAULT


@pytest.mark.parametrize(
    ("statement", "name", "level", "words"),
    [
        pytest.param(
            "UPDATE installation SET stopped_at = now(), stopped_why = 'test'",
            "SENDING IS STOPPED",
            Level.WARNING,
            "test",
            id="all sending was stopped",
        ),
        pytest.param(
            "UPDATE installation SET stopped_at = now(), restored = true",
            "SENDING IS STOPPED",
            Level.WARNING,
            "restored from a backup",
            id="the database was restored",
        ),
        pytest.param(
            "UPDATE installation SET redirect_to = 'test@firma.example'",
            "SAFETY MODE",
            Level.WARNING,
            "test@firma.example",
            id="all mail is redirected",
        ),
        pytest.param(
            "UPDATE installation SET allowed = '{@firma.example}'",
            "SAFETY MODE",
            Level.WARNING,
            "listed recipients",
            id="only some recipients are let through",
        ),
        pytest.param(
            "UPDATE installation SET generation = 99",
            "throttle's log",
            Level.FAULT,
            "nothing is sent",
            id="the throttle's log is of another generation",
        ),
        pytest.param(
            "DELETE FROM process",
            "workers",
            Level.FAULT,
            "none runs",
            id="no worker runs",
        ),
        pytest.param(
            "UPDATE process SET beat_at = now() - interval '1 hour'",
            "automatic tasks",
            Level.FAULT,
            "OAC server main does not run",
            id="the server of an active task is silent",
        ),
        pytest.param(
            "UPDATE server SET paused = true",
            "automatic tasks",
            Level.WARNING,
            "is paused",
            id="the server of an active task is paused",
        ),
        pytest.param(
            "UPDATE automatic_task SET next_run_at = now() - interval '2 minutes'",
            "beat",
            Level.FAULT,
            "not swept",
            id="no beat runs",
        ),
        pytest.param(
            "UPDATE process SET control_answered_at = NULL",
            "canaries",
            Level.FAULT,
            "no worker has answered",
            id="no worker answers at all",
        ),
        pytest.param(
            "UPDATE process SET send_answered_at = now() - interval '2 minutes'",
            "OAC server main",
            Level.FAULT,
            "takes no tasks (send)",
            id="a sending process is deaf",
        ),
        pytest.param(
            "UPDATE process SET clock_offset_ms = -31000",
            "clock of a.example",
            Level.FAULT,
            "31.0 s behind",
            id="a host's clock is far off",
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_mends_it(
    engine, task, look, statement, name, level, words
):
    with engine.begin() as connection:
        connection.execute(text(statement))

    found = look()[name]

    assert found.level is level
    assert words in found.what
    assert found.mend


def test_a_worker_with_a_hand_over_in_each_slot_is_not_taken_for_deaf(engine, task, look):
    with engine.begin() as connection:
        query = text("UPDATE process SET send_answered_at = NULL RETURNING id")
        process = str(connection.execute(query).scalar_one())
        name = evidence_name("main", "a.example", process)
        make_attempt(connection, task, worker=f"{name}8")

    assert "OAC server main" not in look()


def test_a_worker_that_has_just_started_is_not_taken_for_deaf(engine, task, look):
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE process SET started_at = now(), control_answered_at = NULL")
        )

    assert "canaries" not in look()


def test_one_deaf_worker_among_healthy_ones_is_named(engine, task, look):
    with engine.begin() as connection:
        add_process(connection, task, control_answered_at=AGO)

    assert "takes no tasks (control): a.example, process 7" in look()["OAC server main"].what


def test_a_queue_that_nobody_empties_is_named(engine, task, look, redis_url):
    client = connect(redis_url)
    client.lpush("oac.bratislava", "x", "y")
    client.lpush("oac.main.sweep", "x")
    client.close()

    found = look()["queues"]

    assert found.what == "2 tasks wait in oac.bratislava, and OAC server bratislava does not run"


def test_messages_that_wait_for_a_person_are_counted(engine, task, look):
    with engine.begin() as connection:
        make_message(connection, task, state="unknown")
        alarms.raise_alarm(connection, Kind.UNKNOWN, f"task:{task.id}", "one message is unknown")

    found = look()

    assert found["unknown messages"].what == "1 wait for a person"
    assert found["alarm unknown"].what == "one message is unknown"


def test_messages_that_no_task_will_take_are_named(engine, task, look):
    with engine.begin() as connection:
        other = make_task(connection, active=False)
        make_message(connection, other)

    assert "paused" in look()["messages without a task"].what


def test_a_password_that_no_key_opens_is_a_fault(engine, task, look):
    sealed = Vault([Fernet.generate_key().decode()]).seal("tajné")
    with engine.begin() as connection:
        make_account(connection, task.company_id, name="relay", username="eva", password=sealed)

    found = look()["keys"]

    assert found.level is Level.FAULT
    assert found.what.startswith("relay: ")


def test_each_smtp_account_is_tried_and_only_one_in_use_is_a_fault(engine, task, look):
    with SinkProcess() as sink:
        with engine.begin() as connection:
            connection.execute(text("UPDATE account SET port = :port"), {"port": sink.port})
            make_account(connection, task.company_id, name="closed", port=1)

        assert [name for name in look(smtp=True) if "SMTP" in name] == ["SMTP account closed"]
        assert look(smtp=True)["SMTP account closed"].level is Level.WARNING

    assert look(smtp=True)[f"SMTP account {account_name(engine, task)}"].level is Level.FAULT


def account_name(engine: Engine, task: MadeTask) -> str:
    with engine.connect() as connection:
        query = "SELECT name FROM account WHERE id = :id"
        return str(connection.execute(text(query), {"id": task.account_id}).scalar_one())


def test_servers_that_do_not_answer_are_two_faults_and_no_more(redis_url):
    away = "postgresql://eva:tajne@127.0.0.1:1/kadencia"
    engine = db.make_engine(away, name="tests")
    client = connect("redis://:tajne@127.0.0.1:1/0")

    found = found_by(
        Installation(load({}), engine, client, throttle_of("redis://127.0.0.1:1/0"), VAULT)
    )

    assert {name: one.level for name, one in found.items()} == {
        "database": Level.FAULT,
        "redis": Level.FAULT,
    }
    assert "tajne" not in str(found)


def test_a_database_without_the_schema_is_to_be_migrated(services: Services, redis_url):
    url = services.empty_database()
    engine = db.make_engine(url, name="tests")
    client = connect(redis_url)

    found = found_by(Installation(load({}), engine, client, throttle_of(redis_url), VAULT))

    assert found["schema"].mend == "run `kadencia migrate`"
    client.close()
    engine.dispose()
    services.drop_database(url)


@pytest.mark.parametrize(
    ("offset_ms", "level"),
    [(999, Level.OK), (-1001, Level.WARNING), (29_999, Level.WARNING), (-30_001, Level.FAULT)],
)
def test_a_clock_may_be_off_by_a_second(offset_ms, level):
    assert clock("clock of Redis", offset_ms).level is level


@pytest.mark.parametrize(
    ("info", "level"),
    [
        pytest.param({"maxmemory_policy": "noeviction", "maxmemory": 9}, Level.OK, id="none"),
        pytest.param({"maxmemory_policy": "volatile-ttl", "maxmemory": 9}, Level.FAULT, id="some"),
        pytest.param({"maxmemory_policy": "volatile-ttl"}, Level.WARNING, id="without a bound"),
    ],
)
def test_a_redis_that_may_drop_permits_is_a_fault(info, level):
    assert eviction(info).level is level


def test_a_redis_that_forgets_all_at_a_restart_is_a_warning():
    assert persistence({"aof_enabled": 1}).level is Level.OK
    assert persistence({"aof_enabled": 0}).level is Level.WARNING
