"""The audit of SMS: what delivery reports prove, and whether the budgets' count is true."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from tests.support.rows import make_attempt, make_sms, make_sms_task
from tests.support.shared_database import rolled_back, shared_engine
from worker.audit import audit_messages
from worker.outbox import sms_budgets

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def shared(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def connection(shared):
    with rolled_back(shared, "Eva") as connection:
        yield connection


def audited(connection):
    until = datetime.now(UTC) + HOUR
    return audit_messages(connection, until - 3 * HOUR, until, silence=HOUR, grace=HOUR)


def test_sms_are_counted_as_their_delivery_reports_prove(connection):
    task = make_sms_task(connection, name="Pripomienky")
    make_sms(connection, task, state="ready")
    make_sms(connection, task, state="sent", text="ž" * 80)
    make_sms(connection, task, state="delivered", sms={"price": Decimal("0.031")})
    make_sms(connection, task, state="undelivered", sms={"price": Decimal("0.029")})
    given_up = {"awaited": False, "unconfirmed_at": datetime.now(UTC)}
    make_sms(connection, task, state="sent", sms=given_up)

    [found] = audited(connection).sms

    assert found == {
        "task": "Pripomienky",
        "accepted": 4,
        "delivered": 1,
        "undelivered": 1,
        "awaited": 1,
        "not_confirmed": 1,
        "segments": 5,
        "price": Decimal("0.0600"),
    }


@pytest.mark.parametrize("changed", [0, 1], ids=["as it was charged", "changed by hand"])
def test_what_was_charged_to_budgets_is_held_against_the_attempts(connection, changed):
    task = make_sms_task(connection)
    sms = make_sms(connection, task, state="sent")
    attempt = make_attempt(connection, task, sms.id, state="accepted", domains={"+421": 1})
    sms_budgets.spend(connection, task.id, attempt, Decimal("0.05"))
    connection.execute(text("UPDATE sms_spend SET spent = spent + :more"), {"more": changed})

    [found] = audited(connection).spent

    assert (found["spent"] == found["attempts"]) is (changed == 0)
    assert found["attempts"] == Decimal("0.0500")
