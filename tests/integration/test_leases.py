"""Leasing messages and giving them back; the journal of a task's runs."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from models.states import Waits
from tests.support.kernel import change, message
from tests.support.rows import make_message, make_task
from tests.support.shared_database import rolled_back, shared_engine
from worker.outbox import backlog, journal, leases

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def shared(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def connection(shared):
    with rolled_back(shared, "tests") as connection:
        yield connection


@pytest.fixture
def task(connection):
    return make_task(connection)


def test_only_ready_messages_are_leased_each_under_a_token_of_its_own(connection, task):
    states = ["ready", "held", "ready", "sent", "released", "ready"]
    made = [make_message(connection, task, state=one) for one in states]

    leased = leases.lease(connection, task.id, [one.id for one in reversed(made)], MINUTE)

    assert [one.message_id for one in leased] == [made[5].id, made[2].id, made[0].id]
    assert len({one.token for one in leased}) == 3
    assert message(connection, made[0].id).task_id == task.id


def test_a_message_that_another_sweep_has_locked_is_left_to_it(shared):
    with shared.begin() as connection:
        task = make_task(connection)
        ids = [make_message(connection, task).id for _ in range(2)]

    with shared.connect() as one, shared.connect() as other:
        first = leases.lease(one, task.id, ids[:1], MINUTE)
        second = leases.lease(other, task.id, ids, MINUTE)

    assert [lease.message_id for lease in first + second] == ids


def test_nothing_is_leased_of_nothing(connection, task):
    assert leases.lease(connection, task.id, [], MINUTE) == []


def test_a_released_message_goes_back_as_it_was(connection, task):
    made = make_message(connection, task, state="released")

    assert leases.give_back(connection, made.id, made.lease, "no connection")

    row = message(connection, made.id)
    assert (row.state, row.lease, row.attempts, row.why) == ("ready", None, 0, "no connection")


def test_a_message_that_another_process_sends_under_the_same_token_is_not_given_back(
    connection, task
):
    made = make_message(connection, task, state="sending")

    assert not leases.give_back(connection, made.id, made.lease, "no connection")

    assert message(connection, made.id).state == "sending"


@pytest.mark.parametrize("back", [leases.give_back, leases.take_back])
def test_a_token_that_is_no_longer_ours_gives_nothing_back(connection, task, back):
    for state in ("released", "sending", "ready"):
        made = make_message(connection, task, state=state)

        assert not back(connection, made.id, uuid.uuid4(), "no connection")

        assert message(connection, made.id).state == state


def test_what_is_on_its_way_is_counted_for_the_account_and_for_the_task(connection, task):
    sibling = make_task(connection, task.company_id, task.account_id)
    stranger = make_task(connection)
    two = ["a@one.example", "b@two.example"]
    make_message(connection, task, recipients=two, state="released")
    make_message(connection, sibling, recipients=two[:1], state="released")
    make_message(connection, sibling, recipients=two, state="sending")
    make_message(connection, stranger, recipients=two, state="released")
    make_message(connection, task, recipients=two)

    way = backlog.on_the_way(connection, task.account_id, task.id, timedelta(seconds=30))

    assert way == backlog.OnTheWay(
        task_released=2,
        account_released=3,
        account_messages=3,
        domains_released={"one.example": 2, "two.example": 1},
    )


def runs(connection, task):
    query = text("SELECT * FROM task_run WHERE task_id = :id ORDER BY id")
    return connection.execute(query, {"id": task.id}).all()


def last_swept(connection, task, ago):
    """Move the last sweep of a task's run into the past; when that was."""
    query = text("""
        UPDATE task_run SET last_sweep_at = clock_timestamp() - :ago
        WHERE task_id = :id AND ended_at IS NULL RETURNING last_sweep_at""")
    moment: datetime = connection.execute(query, {"id": task.id, "ago": ago}).scalar_one()
    return moment


def test_a_run_ends_with_its_last_sweep_once_there_is_nothing_to_do_for_a_while(connection, task):
    journal.note(connection, task.id, 5, "the pace")
    journal.note(connection, task.id, 0, "nothing more is ready")
    assert journal.end_runs(connection, MINUTE) == 0
    ended = last_swept(connection, task, 2 * MINUTE)

    assert journal.end_runs(connection, MINUTE) == 1
    journal.note(connection, task.id, 1, "the pace")

    first, second = runs(connection, task)
    assert (first.sweeps, first.released, first.ended_at) == (2, 5, ended)
    assert first.why_not_more == "nothing more is ready"
    assert (second.sweeps, second.ended_at) == (1, None)


@pytest.mark.parametrize(
    ("waits", "on_its_way", "active", "ended"),
    [
        pytest.param(Waits.WORK, False, True, 1, id="nothing to do"),
        pytest.param(Waits.PLAN, False, True, 1, id="outside the plan"),
        pytest.param(Waits.SLOT, False, True, 0, id="waits for a slot"),
        pytest.param(Waits.SLOT, False, False, 1, id="paused"),
        pytest.param(Waits.WORK, True, True, 0, id="the last one is being sent"),
    ],
)
def test_a_run_goes_on_while_its_task_has_something_to_send(
    connection, task, waits, on_its_way, active, ended
):
    journal.note(connection, task.id, 5, "the pace")
    last_swept(connection, task, 2 * MINUTE)
    change(connection, "automatic_task", task.id, waits_for=waits.value, active=active)
    if on_its_way:
        make_message(connection, task, state="sending")

    assert journal.end_runs(connection, MINUTE) == ended
