"""Budgets of SMS tasks: no more is claimed than they hold, and what sent nothing is given back."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from sqlalchemy import text

from tests.support.rows import make_attempt, make_company, make_sms, make_sms_task
from worker.outbox import sms_budgets

PRICE = Decimal("0.03")


def attempt_of(connection, task):
    return make_attempt(
        connection,
        task,
        make_sms(connection, task).id,
        domains={"+421": 1},
        opened_at=text("now()"),
    )


def spent(engine):
    with engine.connect() as connection:
        return connection.execute(text("SELECT sum(spent) FROM sms_spend")).scalar()


def exhausted(engine, task):
    query = text("""
        SELECT exhausted_until AT TIME ZONE 'Europe/Bratislava' FROM sms_task WHERE task_id = :id
    """)
    with engine.connect() as connection:
        return connection.execute(query, {"id": task.id}).scalar()


@pytest.mark.parametrize(
    ("budgets", "fit"),
    [
        pytest.param({}, 5, id="without a budget"),
        pytest.param({"budget_day": Decimal("0.10")}, 3, id="of a day"),
        pytest.param({"budget_month": Decimal("0.06")}, 2, id="of a month"),
        pytest.param({"budget_day": Decimal("1"), "budget_month": Decimal("0.03")}, 1, id="both"),
        pytest.param({"budget_day": Decimal("0.02")}, 0, id="too small for one"),
    ],
)
def test_no_more_is_charged_than_a_budget_holds(engine, budgets, fit):
    with engine.begin() as connection:
        task = make_sms_task(connection, **budgets)

    charged = []
    for _ in range(5):
        with engine.begin() as connection:
            one = attempt_of(connection, task)
            charged.append(sms_budgets.spend(connection, task.id, one, PRICE))

    assert charged == [True] * fit + [False] * (5 - fit)
    assert (spent(engine) or 0) == PRICE * fit


def test_claims_at_the_same_time_do_not_exceed_a_budget_together(engine):
    with engine.begin() as connection:
        task = make_sms_task(connection, budget_day=Decimal("0.30"))
        attempts = [attempt_of(connection, task) for _ in range(40)]

    def charge(attempt):
        with engine.begin() as connection:
            return sms_budgets.spend(connection, task.id, attempt, PRICE)

    with ThreadPoolExecutor(4) as pool:
        charged = list(pool.map(charge, attempts))

    assert sum(charged) == 10
    assert spent(engine) == Decimal("0.30")


def test_a_day_s_budget_waits_for_the_next_day_and_a_month_s_for_the_next_month(engine):
    with engine.begin() as connection:
        company = make_company(connection)
        of_day = make_sms_task(connection, company, budget_day=Decimal("0.01"))
        of_month = make_sms_task(
            connection, company, budget_day=Decimal("9"), budget_month=Decimal("0.01")
        )
        for task in (of_day, of_month):
            assert not sms_budgets.spend(connection, task.id, attempt_of(connection, task), PRICE)
        now = connection.execute(text("SELECT now() AT TIME ZONE 'Europe/Bratislava'")).scalar_one()

    day, month = exhausted(engine, of_day), exhausted(engine, of_month)

    assert (day.hour, day.minute) == (0, 0)
    assert 0 < (day - now).total_seconds() <= 86_400 + 3_600
    assert (month.day, month.hour) == (1, 0)
    assert month > now


def test_what_sent_nothing_is_taken_off_once(engine):
    with engine.begin() as connection:
        task = make_sms_task(connection, budget_day=Decimal("1"))
        kept, refused = attempt_of(connection, task), attempt_of(connection, task)
        for one in (kept, refused):
            sms_budgets.spend(connection, task.id, one, PRICE)

    for _ in range(2):
        with engine.begin() as connection:
            sms_budgets.give_back(connection, refused)
            sms_budgets.give_back(connection, uuid.uuid4())

    assert spent(engine) == PRICE


def test_a_claim_at_midnight_is_charged_and_given_back_on_the_same_day(engine):
    with engine.begin() as connection:
        task = make_sms_task(connection)
        one = attempt_of(connection, task)
        before = text("UPDATE attempt SET opened_at = opened_at - interval '1 day'")
        connection.execute(before)

        sms_budgets.spend(connection, task.id, one, PRICE)
        sms_budgets.give_back(connection, one)

    assert spent(engine) == 0


def test_a_budget_used_up_before_midnight_stops_nothing_after_it(engine):
    with engine.begin() as connection:
        task = make_sms_task(connection, budget_day=Decimal("0.01"))
        one = attempt_of(connection, task)
        connection.execute(text("UPDATE attempt SET opened_at = opened_at - interval '1 day'"))

        assert not sms_budgets.spend(connection, task.id, one, PRICE)
        now = connection.execute(text("SELECT now() AT TIME ZONE 'Europe/Bratislava'")).scalar_one()

    assert exhausted(engine, task) <= now


def test_money_that_comes_back_lets_the_task_go_on(engine):
    with engine.begin() as connection:
        task = make_sms_task(connection, budget_day=Decimal("0.03"), next_run_at=None)
        refunded = attempt_of(connection, task)
        sms_budgets.spend(connection, task.id, refunded, PRICE)
        assert not sms_budgets.spend(connection, task.id, attempt_of(connection, task), PRICE)
    assert exhausted(engine, task) is not None

    with engine.begin() as connection:
        sms_budgets.give_back(connection, refunded)

    assert exhausted(engine, task) is None
    with engine.connect() as connection:
        query = text("SELECT next_run_at <= now() FROM automatic_task WHERE id = :id")
        assert connection.execute(query, {"id": task.id}).scalar_one()
