"""Sending one message over real SMTP: what arrives, what is written down, what goes back."""

from __future__ import annotations

import email
import threading
import uuid
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
from tests.support.rows import make_account, make_body
from tests.support.shared_database import shared_engine
from tests.support.sink import SinkProcess
from worker import db
from worker.delivery import Delivery
from worker.throttle import Throttle, connect
from worker.vault import Vault, new_key

FAULTS = [
    "defer:later@*",
    "refuse:nobody@*",
    "busy:busy@*",
    "drop-after-dot:lost@*",
    "slow:slow@*:1",
]


@pytest.fixture(scope="module")
def sink():
    with SinkProcess(faults=FAULTS) as running:
        yield running


@pytest.fixture(scope="module")
def engine(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def office(engine, services, sink):
    throttle = make_throttle(engine, services.valkey_url(), make_settings())
    office = Office(engine, throttle, sink)
    yield office
    office.delivery.close()


def test_a_message_arrives_with_its_evidence_and_its_permit_ages_from_the_answer(office):
    task = office.task()
    made = office.released(task)

    row = office.send(made)

    assert (row.state, row.attempts) == ("sent", 1)
    [one] = office.attempts(made)
    assert (one.id, one.state, one.code, one.phase) == (made.lease, "accepted", 250, "dot")
    assert one.worker == "main/tests/1"
    [entry] = office.arrived(made)
    assert entry["recipients"] == {"anna@firma.example": 250}
    [age] = office.permits(task)
    assert age == pytest.approx(0, abs=3)


def test_what_was_sent_is_not_sent_again_when_celery_doubles_the_task(office):
    made = office.released(office.task())
    office.send(made)

    assert office.send(made).state == "sent"

    assert len(office.arrived(made)) == 1


def test_two_processes_with_the_same_task_send_one_mail(office):
    made = office.released(office.task(), to=["slow@firma.example"])
    other = make_delivery(office.engine, office.throttle, office.settings, worker="main/tests/2")

    threads = [
        threading.Thread(target=one.send, args=(made.id, made.lease))
        for one in (office.delivery, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()

    assert office.row(made).state == "sent"
    assert len(office.arrived(made)) == len(office.attempts(made)) == 1


def test_a_kept_connection_is_used_for_the_next_message(office):
    task = office.task()
    first, second = office.released(task), office.released(task)

    office.send(first)
    office.send(second)

    [one], [other] = office.arrived(first), office.arrived(second)
    assert one["connection"] == other["connection"]


def test_a_connection_is_not_kept_where_there_are_more_processes_than_connections(office):
    task = office.task(account={"most_connections": 1}, server="crowded")
    office.delivery = Delivery(
        office.engine, office.throttle, Vault([]), office.settings, "crowded", "crowded/tests/1"
    )
    with office.engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO process (id, server_id, host, pid, version, slots)
                VALUES (gen_random_uuid(), :server, 'host', 1, '1', 2)"""),
            {"server": task.server_id},
        )
    first, second = office.released(task), office.released(task)

    office.send(first)
    office.send(second)

    [one], [other] = office.arrived(first), office.arrived(second)
    assert one["connection"] != other["connection"]


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
        change(
            connection, "smtp_account", task.account_id, port=office.sink.port, breaker_until=over
        )
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
            change(connection, "smtp_account", task.account_id, **mended)
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


def test_only_the_deferred_of_several_recipients_is_tried_again(office):
    to = ["anna@firma.example", "later@firma.example", "nobody@firma.example"]
    made = office.released(office.task(), to=to)

    row = office.send(made)

    assert (row.state, row.cost, row.attempts) == ("ready", 1, 1)
    assert row.not_before > datetime.now(UTC)
    assert office.recipients(made) == ["sent", "pending", "failed"]


def test_a_refused_recipient_has_used_up_its_permit(office):
    task = office.task()
    made = office.released(task, to=["nobody@firma.example"])

    assert office.send(made).state == "failed"

    assert len(office.permits(task)) == 1


def test_a_server_that_is_busy_is_left_alone_and_the_message_is_not_charged(office):
    task = office.task(envelope_sender="busy@firma.example")
    made = office.released(task)

    row = office.send(made)

    assert (row.state, row.attempts) == ("ready", 0)
    assert [one.state for one in office.attempts(made)] == ["deferred"]
    assert office.account(task).breaker_failures == 1


def test_an_answer_that_never_comes_is_unknown_and_its_permit_keeps_its_late_time(office):
    task = office.task()
    made = office.released(task, to=["lost@firma.example"])

    row = office.send(made)

    assert (row.state, row.attempts) == ("unknown", 1)
    assert len(office.arrived(made)) == 1
    [age] = office.permits(task)
    assert age == pytest.approx(office.settings.handover_max_seconds, abs=3)
    assert office.account(task).breaker_failures == 0


def test_three_answers_in_a_row_that_never_come_open_the_breaker(office):
    task = office.task()

    for _ in range(3):
        office.send(office.released(task, to=["lost@firma.example"]))

    account = office.account(task)
    assert account.breaker_failures == 1
    assert account.breaker_why == "several hand-overs in a row had no answer"


def test_the_safety_redirect_sends_one_copy_and_names_those_it_was_for(office):
    made = office.released(office.task(), to=["anna@firma.example", "jan@iny.example"])
    with office.engine.begin() as connection:
        change(connection, "installation", 1, redirect_to="skuska@firma.example")

    try:
        row = office.send(made)
    finally:
        with office.engine.begin() as connection:
            change(connection, "installation", 1, redirect_to=None)

    assert row.state == "sent"
    assert office.recipients(made) == ["sent", "sent"]
    [entry] = office.arrived(made)
    assert list(entry["recipients"]) == ["skuska@firma.example"]
    mail = email.message_from_bytes((office.sink.directory / entry["file"]).read_bytes())
    assert mail["X-Kadencia-Redirected-From"] == "anna@firma.example, jan@iny.example"


def test_a_task_that_got_another_account_meanwhile_does_not_send_over_the_old_one(office):
    task = office.task()
    made = office.released(task)
    with office.engine.begin() as connection:
        other = make_account(connection, task.company_id, port=office.sink.port)
    thread = threading.Thread(target=office.delivery.send, args=(made.id, made.lease))

    with office.engine.begin() as holding, office.engine.connect() as looking:
        db.lock_alone(holding, db.Lock.GENERATION)  # the claim waits, the connection is there
        thread.start()
        waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        wait_until(lambda: looking.execute(waits).scalar_one())
        change(holding, "automatic_task", task.id, smtp_account_id=other)
    thread.join()

    assert office.row(made).state == "ready"
    assert [one.state for one in office.attempts(made)] == ["void"]
    assert office.arrived(made) == []


def test_a_lease_that_is_not_ours_is_left_alone(office):
    made = office.released(office.task())

    office.delivery.send(made.id, uuid.uuid4())

    assert office.row(made).state == "released"
    assert office.attempts(made) == []
