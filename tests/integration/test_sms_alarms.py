"""Alarms of SMS: paused tasks, spent budgets, reports that do not come, credit that runs out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.support.rows import make_eurosms_account, make_sms, make_sms_task
from tests.support.shared_database import rolled_back, shared_engine
from worker.core.alarms import concerns
from worker.outbox import sms_polls, watch

SILENT_AFTER = timedelta(seconds=60)
HOURS_AGO = datetime.now(UTC) - timedelta(hours=2)


@pytest.fixture(scope="module")
def shared(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def connection(shared):
    with rolled_back(shared, who="anna") as opened:
        yield opened


@pytest.fixture
def task(connection):
    """A task that sends SMS, whose account's reports were asked for just now."""
    task = make_sms_task(connection)
    place = "SELECT base_url, integration_id FROM eurosms_account WHERE account_id = :id"
    sms_polls.ensure(connection, *connection.execute(text(place), {"id": task.account_id}).one())
    connection.execute(text("UPDATE eurosms_poll SET polled_at = now()"))
    return task


def found(connection):
    """Subject of each concern, by its kind."""
    facts = watch.facts(connection, SILENT_AFTER)
    return {str(one.kind): one.subject for one in concerns(facts)}


def test_a_task_that_sends_sms_in_peace_is_no_concern(connection, task):
    make_sms(connection, task, state="sent")

    assert found(connection) == {}


def test_a_task_that_the_product_paused_is_one_until_a_person_resumes_it(connection, task):
    paused = "UPDATE automatic_task SET active = false, paused_why = 'NO_BALANCE'"
    connection.execute(text(paused))

    assert found(connection) == {"task-paused": f"task:{task.id}"}


@pytest.mark.parametrize(
    ("until", "raised"),
    [
        pytest.param("now() + interval '3 hours'", True, id="used up"),
        pytest.param("now() - interval '1 second'", False, id="a new day has begun"),
    ],
)
def test_a_budget_that_is_used_up_is_one_until_it_begins_anew(connection, task, until, raised):
    connection.execute(text(f"UPDATE sms_task SET exhausted_until = {until}"))

    assert found(connection) == ({"budget": f"task:{task.id}"} if raised else {})


def test_reports_that_were_asked_for_in_vain_concern_one_account_of_the_integration(
    connection, task
):
    twin = "SELECT base_url, integration_id FROM eurosms_account"
    same = dict(connection.execute(text(twin)).one()._mapping)
    make_eurosms_account(connection, task.company_id, **same)
    connection.execute(text("UPDATE eurosms_poll SET failures = 3, why = 'HTTP 502'"))

    assert found(connection) == {"reports": f"eurosms:{task.account_id}"}


@pytest.mark.parametrize(
    ("sent_at", "polled_at", "raised"),
    [
        pytest.param(HOURS_AGO, HOURS_AGO, True, id="awaited and not fetched for hours"),
        pytest.param(HOURS_AGO, None, True, id="awaited and never fetched"),
        pytest.param(datetime.now(UTC), HOURS_AGO, False, id="awaited since a moment ago"),
        pytest.param(HOURS_AGO, datetime.now(UTC), False, id="awaited and fetched"),
        pytest.param(None, HOURS_AGO, False, id="none awaited"),
    ],
)
def test_reports_that_nobody_fetches_concern_the_account(
    connection, task, sent_at, polled_at, raised
):
    if sent_at is not None:
        make_sms(connection, task, state="sent", sms={"sent_at": sent_at})
    connection.execute(text("UPDATE eurosms_poll SET polled_at = :at"), {"at": polled_at})

    assert found(connection) == ({"reports": f"eurosms:{task.account_id}"} if raised else {})


@pytest.mark.parametrize(
    ("balance", "price", "seen", "raised"),
    [
        pytest.param("4.00", "0.05", None, True, id="below 100 segments at the set price"),
        pytest.param("6.00", "0.05", None, False, id="above it"),
        pytest.param("6.00", None, "0.09", True, id="below it at the dearest price that was seen"),
        pytest.param("4.99", None, None, True, id="below 5 EUR, where no price is known"),
        pytest.param(None, "0.05", None, False, id="never seen"),
    ],
)
def test_credit_that_runs_out_concerns_the_account(connection, task, balance, price, seen, raised):
    values = {"balance": balance, "price": price}
    connection.execute(
        text("UPDATE eurosms_account SET balance = :balance, price = :price"), values
    )
    if seen is not None:
        connection.execute(
            text("INSERT INTO eurosms_price VALUES (:id, '+421', '231.1', :price, now())"),
            {"id": task.account_id, "price": seen},
        )

    assert found(connection) == ({"low-balance": f"eurosms:{task.account_id}"} if raised else {})


def test_a_disabled_account_is_no_concern(connection, task):
    connection.execute(text("UPDATE eurosms_account SET balance = 0"))
    connection.execute(text("UPDATE eurosms_poll SET failures = 9"))
    connection.execute(text("UPDATE account SET enabled = false"))

    assert found(connection) == {}


def test_a_server_that_sends_no_sms_leaves_a_due_task_of_sms_behind(connection, task):
    connection.execute(text("UPDATE automatic_task SET next_run_at = now() - interval '1 h'"))
    process = (
        "INSERT INTO process (id, server_id, host, pid, version, slots, sms_slots) "
        "VALUES (gen_random_uuid(), :server, 'a.example', 7, '0.1', 4, 0)"
    )
    connection.execute(text(process), {"server": task.server_id})

    assert found(connection) == {"task-without-server": f"task:{task.id}"}

    connection.execute(text("UPDATE process SET sms_slots = 4"))
    assert found(connection) == {}
