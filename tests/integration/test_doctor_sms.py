"""What the doctor finds of SMS, and that it says how to mend it."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from settings import load
from tests.support.emulator import IID, KEY, EmulatorProcess
from tests.support.office import closed_port
from tests.support.redis_clients import connect
from tests.support.rows import make_eurosms_account, make_sms, make_sms_task, make_task
from worker.doctor import Installation, Level, fleet, gateways, sending
from worker.outbox import sms_polls
from worker.throttle import Throttle
from worker.vault import Vault

VAULT = Vault([Fernet.generate_key().decode()])


@pytest.fixture(scope="module")
def gateway():
    with EmulatorProcess() as running:
        yield running


@pytest.fixture
def task(engine):
    """An automatic task of SMS, with a worker of its server for SMS."""
    with engine.begin() as connection:
        task = make_sms_task(connection)
        add_process(connection, task, slots=0, sms_slots=2)
        return task


def add_process(connection, task, *, slots, sms_slots):
    columns = "id, server_id, host, pid, version, slots, sms_slots, started_at, "
    columns += "control_answered_at, send_answered_at, eurosms_answered_at"
    process = (
        f"INSERT INTO process ({columns}) VALUES (gen_random_uuid(), :server, 'a.example', 7, "
        "'0.1', :slots, :sms_slots, now() - interval '5 min', now(), now(), now())"
    )
    values = {"server": task.server_id, "slots": slots, "sms_slots": sms_slots}
    connection.execute(text(process), values)


@pytest.fixture
def look(engine, redis_url):
    client = connect(redis_url)
    spans = {"window_us": 3_600_000_000, "handover_max_us": 660_000_000}
    whole = Installation(load({}), engine, client, Throttle(client, **spans), VAULT)

    def at(check):
        with engine.connect() as connection:
            return {one.name: one for one in check(whole, connection)}

    yield at
    client.close()


def change(engine, statement, **values):
    with engine.begin() as connection:
        connection.execute(text(statement), values)


def reach(engine, url, key=KEY):
    """Give all accounts this gateway and key."""
    place = "UPDATE eurosms_account SET base_url = :url, integration_id = :iid, key = :key"
    change(engine, place, url=url, iid=IID, key=VAULT.seal(key))


def test_an_account_that_would_send_is_in_order_and_nothing_is_sent(engine, task, look, gateway):
    reach(engine, gateway.url)
    sent = len(gateway.records())

    (found,) = look(gateways.accounts).values()

    assert (found.level, "EUR left" in found.what) == (Level.OK, True)
    assert len(gateway.records()) == sent


def test_each_account_is_tried_and_only_one_in_use_is_a_fault(engine, task, look, gateway):
    with engine.begin() as connection:
        make_eurosms_account(connection, task.company_id, name="unused")
        connection.execute(text("UPDATE account SET name = 'used' WHERE name <> 'unused'"))
    reach(engine, gateway.url, "a-wrong-key")

    found = look(gateways.accounts)

    assert found["EuroSMS account used"].level is Level.FAULT
    assert "WRONG_SIGNATURE" in found["EuroSMS account used"].what
    assert "kadencia eurosms test" in found["EuroSMS account used"].mend
    assert found["EuroSMS account unused"].level is Level.WARNING


def test_an_account_whose_tasks_the_product_paused_is_still_in_use(engine, task, look, gateway):
    change(engine, "UPDATE automatic_task SET active = false, paused_why = 'NO_BALANCE'")
    reach(engine, gateway.url, "a-wrong-key")

    (found,) = look(gateways.accounts).values()

    assert found.level is Level.FAULT


def test_a_gateway_that_is_away_is_a_fault(engine, task, look):
    with closed_port() as port:
        reach(engine, f"http://127.0.0.1:{port}")
        (found,) = look(gateways.accounts).values()

    assert found.level is Level.FAULT


def test_accounts_at_eurosms_are_no_smtp_accounts(engine, task, look, gateway):
    reach(engine, gateway.url)

    assert look(sending.smtp) == {}


def test_an_integration_key_that_no_key_opens_is_a_fault(engine, task, look):
    other = Vault([Fernet.generate_key().decode()]).seal(KEY)
    change(engine, "UPDATE eurosms_account SET key = :key", key=other)
    change(engine, "UPDATE account SET name = 'brána'")

    found = look(sending.keys)["keys"]

    assert found.level is Level.FAULT
    assert found.what.startswith("brána: ")
    assert look(gateways.accounts) == {}


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        pytest.param("DELETE FROM process", "does not run", id="no worker at all"),
        pytest.param(
            "UPDATE process SET slots = 4, sms_slots = 0", "sends SMS", id="none that sends SMS"
        ),
    ],
)
def test_a_task_of_sms_needs_a_worker_that_sends_sms(engine, task, look, statement, words):
    assert look(fleet.tasks)["automatic tasks"].level is Level.OK
    change(engine, statement)

    found = look(fleet.tasks)["automatic tasks"]

    assert (found.level, words in found.what) == (Level.FAULT, True)
    assert "`kadencia worker --" in found.mend


def test_a_task_of_e_mails_needs_a_worker_that_sends_e_mails(engine, task, look):
    with engine.begin() as connection:
        make_task(connection)

    found = look(fleet.tasks)["automatic tasks"]

    assert "no worker of its OAC server main sends e-mails" in found.what


def test_a_worker_for_sms_that_takes_none_is_deaf_in_that_part_alone(engine, task, look):
    change(engine, "UPDATE process SET send_answered_at = NULL")
    assert look(fleet.processes)["canaries"].level is Level.OK

    change(engine, "UPDATE process SET eurosms_answered_at = NULL")

    assert "takes no tasks (eurosms)" in look(fleet.processes)["OAC server main"].what


def test_a_queue_of_sms_that_nobody_empties_is_named(engine, task, look, redis_url):
    client = connect(redis_url)
    client.lpush("oac.main.eurosms", "x")
    client.lpush("oac.main.sweep", "x")
    assert look(fleet.queues) == {}

    change(engine, "UPDATE process SET slots = 1, sms_slots = 0")
    found = look(fleet.queues)["queues"]
    client.close()

    assert (
        found.what == "1 tasks wait in oac.main.eurosms, and OAC server main has no worker for it"
    )


def test_reports_that_do_not_come_and_low_credit_are_told(engine, task, look):
    with engine.begin() as connection:
        connection.execute(text("UPDATE account SET name = 'brána'"))
        query = "SELECT base_url, integration_id FROM eurosms_account"
        sms_polls.ensure(connection, *connection.execute(text(query)).one())
        make_sms(connection, task, state="sent")
    assert look(gateways.reports)["delivery reports"].what == "awaited for 1 SMS"

    change(engine, "UPDATE eurosms_poll SET failures = 1, why = 'HTTP 502'")
    change(engine, "UPDATE eurosms_account SET balance = 1")

    found = look(gateways.reports)
    assert found["delivery reports of brána"].what == "asked for 1 times in vain: HTTP 502"
    assert found["balance of brána"].what == "1.00 EUR were left when last seen"


def test_reports_that_are_awaited_and_not_fetched_are_a_fault(engine, task, look):
    with engine.begin() as connection:
        query = "SELECT base_url, integration_id FROM eurosms_account"
        sms_polls.ensure(connection, *connection.execute(text(query)).one())
        make_sms(connection, task, state="sent")
    change(engine, "UPDATE sms SET sent_at = now() - interval '2 hours'")

    levels = {one.level for one in look(gateways.reports).values()}

    assert Level.FAULT in levels
