"""What goes through other SMTP accounts while a task's own refuses us, and that all limits hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text

from models.smtp import TaskAccount
from tests.support.kernel import change, make_settings, make_throttle
from tests.support.office import Office
from tests.support.rows import MadeTask, make_account, make_company, make_message, make_task
from tests.support.shared_database import shared_engine
from tests.support.sink import SinkProcess
from tests.support.sweeping import Sweeps, enqueue, new_task
from worker.outbox import breakers, reading
from worker.registers import RegisterError, fallbacks
from worker.registers.naming import find_account
from worker.status import look

NO_ACCOUNT = "there is no SMTP account"


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
def sweeps(engine, services):
    return Sweeps(engine, make_throttle(engine, services.valkey_url(), make_settings()))


@pytest.fixture
def office(engine, services, sink):
    office = Office(engine, make_throttle(engine, services.valkey_url(), make_settings()), sink)
    yield office
    office.delivery.close()


def fall_back(engine, task: MadeTask, **columns: Any) -> int:
    """Give a task an account to fall back to; its id."""
    with engine.begin() as connection:
        account = make_account(connection, task.company_id, **{"most_connections": 100, **columns})
        lay(connection, task, account)
    return account


def lay(connection, task: MadeTask, account: int) -> None:
    values = {"task_id": task.id, "account_id": account, "company_id": task.company_id}
    connection.execute(insert(TaskAccount).values(position=1, **values))


def refuse(engine, account: int, seconds: float = 60) -> None:
    """Open an account's breaker; for no time at all, it is half-open."""
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    with engine.begin() as connection:
        why = "421 busy"
        change(
            connection, "account", account, breaker_failures=1, breaker_until=until, breaker_why=why
        )


def accounts_of(engine, ids: Sequence[int]) -> list[int | None]:
    """Through which account each released message is to go; None stands for its task's own."""
    query = text("""
        SELECT d.account_id FROM message m
        LEFT JOIN detour d ON d.message_id = m.id AND d.lease = m.lease
        WHERE m.id = ANY (:ids) ORDER BY m.id""")
    with engine.connect() as connection:
        return list(connection.execute(query, {"ids": list(ids)}).scalars())


def test_messages_go_through_the_next_account_while_the_own_one_is_left_alone(sweeps, engine):
    task = new_task(engine)
    other = fall_back(engine, task, name=f"záložný {task.id}")
    refuse(engine, task.account_id)
    made = enqueue(engine, task, 2)

    assert sweeps.sweep(task) == made

    assert accounts_of(engine, made) == [other, other]
    run = sweeps.run(task)
    assert run is not None
    assert run.why_not_more.startswith("nothing more is ready; through the SMTP account “záložný")
    assert run.why_not_more.endswith("refuses us (421 busy)")


def test_a_disabled_account_is_passed_over(sweeps, engine):
    task = new_task(engine, account={"enabled": False})
    other = fall_back(engine, task)
    made = enqueue(engine, task)

    assert sweeps.sweep(task) == made

    assert accounts_of(engine, made) == [other]


def test_one_message_tries_the_own_account_again_while_the_others_take_the_detour(sweeps, engine):
    task = new_task(engine)
    other = fall_back(engine, task)
    refuse(engine, task.account_id, seconds=-1)
    made = enqueue(engine, task, 3)

    assert sweeps.sweep(task) == made[:1]
    assert sweeps.sweep(task) == made[1:]

    assert accounts_of(engine, made) == [None, other, other]


def test_all_go_through_the_own_account_again_once_it_has_taken_a_mail(sweeps, engine):
    task = new_task(engine)
    fall_back(engine, task)
    refuse(engine, task.account_id, seconds=-1)
    with engine.begin() as connection:
        breakers.reset(connection, task.account_id)
    made = enqueue(engine, task, 2)

    assert sweeps.sweep(task) == made

    assert accounts_of(engine, made) == [None, None]


def test_a_task_whose_accounts_all_refuse_us_waits_for_the_first_that_may_be_tried(sweeps, engine):
    task = new_task(engine)
    other = fall_back(engine, task)
    refuse(engine, task.account_id, seconds=200)
    refuse(engine, other, seconds=100)
    enqueue(engine, task)

    assert sweeps.sweep(task) == []

    assert sweeps.next_in(task) == pytest.approx(100, abs=5)


def test_connections_of_an_account_are_counted_whoever_falls_back_to_it(sweeps, engine):
    task = new_task(engine)
    other = fall_back(engine, task, most_connections=3)
    with engine.begin() as connection:
        regular = make_task(connection, task.company_id, other)
    refuse(engine, task.account_id)
    usual = enqueue(engine, regular, 2)
    assert sweeps.sweep(regular) == usual
    aside = enqueue(engine, task, 5)

    assert sweeps.sweep(task) == aside[:1]
    assert sweeps.sweep(task) == []

    enqueue(engine, regular)
    assert sweeps.sweep(regular) == []
    # And those that took the detour hold no connection of the task's own account.
    with engine.begin() as connection:
        change(connection, "account", task.account_id, breaker_until=None, breaker_failures=0)
    assert sweeps.sweep(task) == aside[1:]


def test_the_limit_of_the_account_in_use_is_what_counts(sweeps, engine):
    task = new_task(engine, account={"hourly_limit": 1})
    fall_back(engine, task, hourly_limit=2)
    refuse(engine, task.account_id)
    made = enqueue(engine, task, 3)

    assert sweeps.sweep(task) == made[:2]

    run = sweeps.run(task)
    assert run is not None
    assert "the account's hourly limit is used up" in run.why_not_more


def test_the_attempt_and_its_permit_are_under_the_account_that_was_used(office):
    task = office.task(account={"port": 1})
    other = fall_back(office.engine, task, port=office.sink.port)
    refuse(office.engine, task.account_id)
    with office.engine.begin() as connection:
        made = make_message(connection, task, state="released", recipients=["anna@firma.example"])
        detour(connection, made, other)

    row = office.send(made)

    assert row.state == "sent"
    [attempt] = office.attempts(made)
    assert attempt.account_id == other
    client = office.throttle.client
    assert client.zcard(f"kadencia:throttle:account:{other}") == 1
    assert client.zcard(f"kadencia:throttle:domain:{other}:firma.example") == 1
    assert client.zcard(f"kadencia:throttle:account:{task.account_id}") == 0


def test_what_was_released_to_an_account_that_is_listed_no_more_goes_back(office):
    task = office.task()
    other = fall_back(office.engine, task, port=office.sink.port)
    with office.engine.begin() as connection:
        made = make_message(connection, task, state="released")
        detour(connection, made, other)
        connection.execute(text("DELETE FROM task_account WHERE task_id = :id"), {"id": task.id})

    row = office.send(made)

    assert (row.state, row.attempts) == ("ready", 0)
    assert "falls back to that SMTP account no more" in row.why
    assert office.attempts(made) == []


def test_a_detour_holds_for_its_own_lease_alone(office):
    task = office.task()
    other = fall_back(office.engine, task, port=1)
    with office.engine.begin() as connection:
        made = make_message(connection, task, state="released")
        detour(connection, made, other, lease="00000000-0000-0000-0000-000000000000")

    row = office.send(made)

    assert row.state == "sent"
    assert [one.account_id for one in office.attempts(made)] == [task.account_id]


def detour(connection, made, account: int, lease: object = None) -> None:
    connection.execute(
        text("INSERT INTO detour (message_id, lease, account_id) VALUES (:id, :lease, :account)"),
        {"id": made.id, "lease": lease or made.lease, "account": account},
    )


def test_a_person_is_told_which_account_is_used_and_why(engine):
    task = new_task(engine)
    fall_back(engine, task, name="druhý", domain_hourly_limit=7)
    refuse(engine, task.account_id)
    with engine.begin() as connection:
        made = make_message(connection, task)
        row = reading.message(connection, made.id)
        assert row is not None

        [taker] = reading.takers(connection, row, timedelta(seconds=30))

    assert taker.domain_limit == 7
    assert taker.facts.account == "druhý"
    assert taker.facts.detour is not None
    assert taker.facts.detour.endswith("refuses us (421 busy)")


@pytest.mark.parametrize("falls_back", [True, False])
def test_a_task_is_said_to_be_refused_only_while_nothing_takes_its_mail(engine, falls_back):
    task = new_task(engine)
    other = fall_back(engine, task)
    refuse(engine, task.account_id)
    if not falls_back:
        refuse(engine, other)

    with engine.connect() as connection:
        connection.execute(
            text("""
                INSERT INTO process (id, server_id, host, pid, version, slots)
                VALUES (gen_random_uuid(), :server, 'host', 1, '1', 2)"""),
            {"server": task.server_id},
        )
        name = connection.execute(
            text("SELECT name FROM automatic_task WHERE id = :id"), {"id": task.id}
        ).scalar_one()
        [found] = [one for one in look(connection, make_settings()).tasks if one.task == name]

    assert ("refuses us" in found.state) is not falls_back


@pytest.fixture
def register(engine):
    """A company with a task and accounts `a` and `b`; nothing of it stays."""
    with engine.connect() as connection:
        company = make_company(connection)
        task = make_task(connection, company, make_account(connection, company, name="own"))
        for name in ("a", "b"):
            make_account(connection, company, name=name)
        query = text("SELECT * FROM company WHERE id = :id")
        yield connection, connection.execute(query, {"id": company}).one(), task
        connection.rollback()


def test_accounts_are_listed_in_the_order_in_which_they_were_named(register):
    connection, company, task = register

    changed = fallbacks.set_fallbacks(connection, company, task.id, ["b", "a"])

    assert changed == {"fallbacks": ["b", "a"]}
    assert fallbacks.fallbacks_of(connection, task.id) == ["b", "a"]
    assert fallbacks.set_fallbacks(connection, company, task.id, ["b", "a"]) == {}
    assert fallbacks.set_fallbacks(connection, company, task.id, []) == {"fallbacks": []}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        pytest.param(["own"], "is the task's own", id="the task's own"),
        pytest.param(["a", "a"], "is listed already", id="one named twice"),
        pytest.param(["c"], NO_ACCOUNT, id="one that is not there"),
        pytest.param(["a"] * 10, "10 accounts to fall back to", id="too many"),
    ],
)
def test_an_account_that_cannot_be_fallen_back_to_is_refused(register, names, words):
    connection, company, task = register

    with pytest.raises(RegisterError, match=words):
        fallbacks.set_fallbacks(connection, company, task.id, names)


def test_a_task_cannot_be_given_an_account_of_its_own_that_it_falls_back_to(register):
    connection, company, task = register
    fallbacks.set_fallbacks(connection, company, task.id, ["a"])
    account = find_account(connection, "a", company.id, "email")
    change(connection, "automatic_task", task.id, account_id=account.id)

    with pytest.raises(RegisterError, match="is the task's own"):
        fallbacks.set_fallbacks(connection, company, task.id, None)
