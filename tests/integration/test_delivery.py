"""Sending one message over real SMTP: what arrives, what is written down, what goes back."""

from __future__ import annotations

import email
import threading
import uuid
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from tests.support.kernel import (
    change,
    make_delivery,
    make_settings,
    make_throttle,
)
from tests.support.office import Office
from tests.support.shared_database import shared_engine
from tests.support.sink import SinkProcess
from worker.delivery import Delivery
from worker.vault import Vault

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
    services.flush_valkey()  # another database's tasks had the same numbers
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


def test_a_lease_that_is_not_ours_is_left_alone(office):
    made = office.released(office.task())

    office.delivery.send(made.id, uuid.uuid4())

    assert office.row(made).state == "released"
    assert office.attempts(made) == []
