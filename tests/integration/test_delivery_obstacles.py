"""What keeps a message from being handed over, and that it costs nothing."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.support import permits
from tests.support.kernel import (
    change,
    make_delivery,
    make_settings,
    make_throttle,
)
from tests.support.office import Office, closed_port
from tests.support.process_table import wait_until
from tests.support.redis_clients import connect
from tests.support.rows import make_account, make_body
from tests.support.shared_database import shared_engine
from tests.support.sink import SinkProcess
from worker import db
from worker.outbox import breakers
from worker.throttle import Throttle
from worker.vault import Vault, new_key


@pytest.fixture(scope="module")
def sink():
    with SinkProcess() as running:
        yield running


@pytest.fixture(scope="module")
def engine(services):
    services.flush_valkey()  # another database's tasks had the same numbers
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def office(engine, services, sink):
    throttle = make_throttle(engine, services.valkey_url(), make_settings())
    office = Office(engine, throttle, sink)
    yield office
    office.delivery.close()


def test_a_server_that_is_away_costs_no_attempt_and_is_left_alone_until_it_takes_mail_again(office):
    with closed_port() as port:
        task = office.task(account={"port": port})
        made = office.released(task)

        row = office.send(made)

    assert (row.state, row.attempts, row.lease) == ("ready", 0, None)
    assert "refused" in row.why
    assert office.attempts(made) == []
    account = office.account(task)
    assert account.breaker_failures == 1
    assert account.breaker_until > datetime.now(UTC)

    with office.engine.begin() as connection:
        over = datetime.now(UTC) - timedelta(seconds=1)
        change(connection, "account", task.account_id, port=office.sink.port, breaker_until=over)
    assert office.send(office.released(task)).state == "sent"
    assert office.account(task).breaker_failures == 0


def test_an_account_that_is_left_alone_gets_no_connection(office):
    until = datetime.now(UTC) + timedelta(minutes=1)
    task = office.task(account={"breaker_failures": 1, "breaker_until": until})
    made = office.released(task)

    row = office.send(made)

    assert (row.state, row.why) == ("ready", "its SMTP account refuses us")
    assert office.arrived(made) == []


def test_a_wrong_password_sends_nothing_and_is_never_shown(office, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("right")
    vault = Vault([new_key()])
    office.delivery = make_delivery(office.engine, office.throttle, office.settings, vault)
    with SinkProcess("--user", "sender", "--password-file", str(secret)) as strict:
        account = {"port": strict.port, "username": "sender", "password": vault.seal("wrong-one")}
        task = office.task(account=account)
        made = office.released(task)

        row = office.send(made)

        assert (row.state, row.attempts) == ("ready", 0)
        assert "auth" in office.account(task).breaker_why
        assert "wrong-one" not in row.why + office.account(task).breaker_why

        with office.engine.begin() as connection:
            mended = {"password": vault.seal("right"), "breaker_until": None}
            change(connection, "account", task.account_id, **mended)
        assert office.send(office.released(task)).state == "sent"


def test_a_password_whose_key_is_not_at_hand_sends_nothing(office):
    sealed = Vault([new_key()]).seal("secret")
    task = office.task(account={"username": "sender", "password": sealed})

    row = office.send(office.released(task))

    assert row.state == "ready"
    assert "no key" in row.why


def test_a_refused_permit_voids_the_attempt_and_charges_none(office):
    task = office.task(cadence=100)
    with office.engine.connect() as connection:
        generation = connection.execute(text("SELECT generation FROM installation")).scalar()
    full = permits.asking(
        domains={"other.example": 100}, task=task.id, account=task.account_id, generation=generation
    )
    assert office.throttle.acquire(full) is None
    made = office.released(task)

    row = office.send(made)

    assert (row.state, row.attempts) == ("ready", 0)
    assert row.why == f"no permit now: task {task.id}"
    assert [one.state for one in office.attempts(made)] == ["void"]
    assert office.arrived(made) == []
    assert len(office.permits(task)) == 100


def test_without_redis_a_message_is_given_back(office):
    made = office.released(office.task())
    with closed_port() as port:
        deaf = Throttle(connect(f"redis://127.0.0.1:{port}/0"), window_us=1, handover_max_us=1)
        office.delivery = make_delivery(office.engine, deaf, office.settings)

        row = office.send(made)

    assert (row.state, row.attempts) == ("ready", 0)
    assert "Redis gave no answer" in row.why
    assert office.arrived(made) == []


def test_after_a_loss_of_the_log_nothing_is_sent_until_it_is_rebuilt(office, services):
    made = office.released(office.task())
    services.flush_valkey()

    row = office.send(made)

    assert row.state == "ready"
    assert office.arrived(made) == []


def test_a_template_without_its_field_fails_the_message_and_says_which(office):
    with office.engine.begin() as connection:
        body = make_body(connection, text="Dobrý deň, {{ meno }}", template=True)
    task = office.task()
    made = office.released(task, body_id=body, fields={"priezvisko": "Malá"})

    row = office.send(made)

    assert (row.state, row.attempts) == ("failed", 0)
    assert "meno" in row.why
    assert [one.state for one in office.attempts(made)] == ["void"]
    assert office.permits(task) == []


def test_a_message_whose_body_is_gone_fails(office):
    made = office.released(office.task(), body_id=None)

    row = office.send(made)

    assert row.state == "failed"
    assert "the body: was dropped" in row.why


def test_an_envelope_sender_that_cannot_be_written_fails_the_message(office):
    made = office.released(office.task(envelope_sender="a>b@firma.example"))

    assert office.send(made).state == "failed"


def test_a_mail_that_its_server_can_never_take_fails_and_gives_its_permit_back(office):
    with SinkProcess("--size", "100") as narrow:
        task = office.task(account={"port": narrow.port})
        made = office.released(task)

        row = office.send(made)

    assert row.state == "failed"
    assert "the server takes at most 100" in row.why
    assert office.permits(task) == []


@contextmanager
def at_the_claim(office, made):
    """While a sending process has its connection, and waits to claim; then for its end."""
    thread = threading.Thread(target=office.delivery.send, args=(made.id, made.lease))
    waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with office.engine.begin() as holding, office.engine.connect() as looking:
        db.lock_alone(holding, db.Lock.GENERATION)
        thread.start()
        wait_until(lambda: looking.execute(waits).scalar_one())
        yield holding
    thread.join()


def test_a_task_that_got_another_account_meanwhile_does_not_send_over_the_old_one(office):
    task = office.task()
    made = office.released(task)
    with office.engine.begin() as connection:
        other = make_account(connection, task.company_id, port=office.sink.port)

    with at_the_claim(office, made) as connection:
        change(connection, "automatic_task", task.id, account_id=other)

    assert office.row(made).state == "ready"
    assert [one.state for one in office.attempts(made)] == ["void"]
    assert office.arrived(made) == []


def test_a_server_that_goes_away_before_mail_costs_neither_attempt_nor_permit(office):
    with SinkProcess() as mortal:
        task = office.task(account={"port": mortal.port})
        made = office.released(task)

        with at_the_claim(office, made):
            mortal.halt()

    row = office.row(made)
    assert (row.state, row.attempts) == ("ready", 0)
    assert [one.state for one in office.attempts(made)] == ["void"]
    assert office.permits(task) == []
    assert office.account(task).breaker_failures == 1


def test_an_outage_that_many_processes_meet_counts_once(office):
    task = office.task()

    with office.engine.begin() as connection:
        first = breakers.trip(connection, task.account_id, "refused", 0.5)
        second = breakers.trip(connection, task.account_id, "refused", 0.5)

    assert first > timedelta(0)
    assert second is None
    assert office.account(task).breaker_failures == 1
