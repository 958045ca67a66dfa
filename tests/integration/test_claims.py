"""Claiming a released message: whose it is, when it may not go, and what the claim writes."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.support.kernel import attempt, attempts, change, message, recipients
from tests.support.process_table import wait_until
from tests.support.rows import make_message, make_server, make_task
from tests.support.shared_database import rolled_back, shared_engine
from worker import db
from worker.outbox import claims

THREE = ["a@one.example", "b@two.example", "c@two.example"]
DEADLINE = timedelta(minutes=12)


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
    return make_task(connection, cadence=600, reserve=50)


def claim(connection, made, *, server="main", worker="main/tests/1"):
    return claims.claim(
        connection, made.id, made.lease, server=server, worker=worker, deadline=DEADLINE
    )


def released(connection, task, *, to=("anna@firma.example",), **columns):
    return make_message(connection, task, recipients=to, state="released", **columns)


def mark(connection, made, *states):
    query = text("UPDATE recipient SET state = :state WHERE message_id = :id AND position = :n")
    for position, state in enumerate(states):
        connection.execute(query, {"state": state, "id": made.id, "n": position})


def suppress(connection, task, *addresses):
    query = text(
        "INSERT INTO suppression (company_id, address, why) VALUES (:company, :address, 'asked')"
    )
    for address in addresses:
        connection.execute(query, {"company": task.company_id, "address": address})


def test_a_claim_opens_the_attempt_with_its_cost_and_its_domains(connection, task):
    made = released(connection, task, to=THREE)

    claimed = claim(connection, made)

    row, opened = message(connection, made.id), attempt(connection, made.lease)
    assert (row.state, row.lease, row.why) == ("sending", made.lease, None)
    assert row.deadline - datetime.now(UTC) > timedelta(minutes=11)
    assert (opened.state, opened.cost, opened.worker) == ("open", 3, "main/tests/1")
    assert opened.domains == {"one.example": 1, "two.example": 2}
    assert (opened.task_id, opened.account_id) == (task.id, task.account_id)
    assert (claimed.cadence, claimed.reserve, claimed.domains) == (600, 50, opened.domains)


def test_a_claim_with_another_token_gets_nothing_and_changes_nothing(connection, task):
    made, other = released(connection, task), released(connection, task)
    before = message(connection, made.id)

    found = claims.claim(
        connection, made.id, other.lease, server="main", worker="w", deadline=DEADLINE
    )

    assert found is None
    assert message(connection, made.id) == before


@pytest.mark.parametrize("state", ["ready", "sending", "held", "unknown", "sent", "cancelled"])
def test_only_a_released_message_is_claimed(connection, task, state):
    made = make_message(connection, task, state=state)

    assert claim(connection, made) is None

    assert message(connection, made.id).state == state


@pytest.mark.parametrize(
    ("table", "of", "columns", "why"),
    [
        pytest.param(
            "automatic_task", "id", {"active": False}, "its automatic task is paused", id="task"
        ),
        pytest.param(
            "server", "server_id", {"paused": True}, "the OAC server is paused", id="server"
        ),
        pytest.param(
            "account",
            "account_id",
            {"enabled": False},
            "its account is disabled",
            id="account",
        ),
        pytest.param(
            "installation",
            None,
            {"stopped_at": datetime(2026, 1, 1, tzinfo=UTC)},
            "sending is stopped for the whole installation",
            id="installation",
        ),
    ],
)
def test_what_was_switched_off_meanwhile_sends_nothing(connection, task, table, of, columns, why):
    made = released(connection, task)
    change(connection, table, getattr(task, of) if of else 1, **columns)

    assert claim(connection, made) is None

    row = message(connection, made.id)
    assert (row.state, row.why, row.lease, row.attempts) == ("ready", why, None, 0)
    assert attempts(connection, made.id) == []


def test_a_task_that_moved_to_another_server_is_not_sent_by_the_old_one(connection, task):
    made = released(connection, task)
    change(connection, "automatic_task", task.id, server_id=make_server(connection, "second"))

    assert claim(connection, made) is None

    assert message(connection, made.id).why == "its automatic task runs on another OAC server now"


def test_an_expired_message_ends_instead_of_being_sent(connection, task):
    made = released(connection, task, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    assert claim(connection, made) is None

    row = message(connection, made.id)
    assert (row.state, row.why) == ("expired", "it was not sent before its expiry")
    assert row.settled_at is not None
    assert recipients(connection, made.id) == ["failed"]


def test_an_expired_message_that_reached_somebody_before_is_sent(connection, task):
    late = datetime.now(UTC) - timedelta(seconds=1)
    made = released(connection, task, to=THREE, expires_at=late)
    mark(connection, made, "sent")

    claim(connection, made)

    assert message(connection, made.id).state == "sent"
    assert recipients(connection, made.id) == ["sent", "failed", "failed"]


def test_suppressed_recipients_are_left_out_of_the_envelope(connection, task):
    made = released(connection, task, to=["a@one.example", "B@two.example", "c@two.example"])
    suppress(connection, task, "b@two.example")

    claimed = claim(connection, made)

    assert [one.address for one in claimed.envelope] == ["a@one.example", "c@two.example"]
    assert len(claimed.recipients) == 3  # the header names all
    assert recipients(connection, made.id) == ["pending", "suppressed", "pending"]
    row = message(connection, made.id)
    assert (row.cost, row.domains) == (2, {"one.example": 1, "two.example": 1})
    assert attempt(connection, made.lease).cost == 2


def test_another_companys_suppression_holds_for_that_company_alone(connection, task):
    made = released(connection, task)
    suppress(connection, make_task(connection), "anna@firma.example")

    assert claim(connection, made) is not None


@pytest.mark.parametrize(
    ("before", "state"),
    [
        pytest.param([], "suppressed", id="nobody was reached"),
        pytest.param(["sent"], "sent", id="somebody was"),
        pytest.param(["delivered"], "delivered", id="and has it for certain"),
        pytest.param(["failed"], "suppressed", id="somebody was refused"),
    ],
)
def test_a_message_whose_recipients_are_all_suppressed_ends(connection, task, before, state):
    made = released(connection, task, to=THREE)
    mark(connection, made, *before)
    suppress(connection, task, *THREE)

    assert claim(connection, made) is None

    row = message(connection, made.id)
    assert (row.state, row.why) == (state, "the remaining recipients are suppressed")
    assert row.settled_at is not None
    assert attempts(connection, made.id) == []


def test_a_message_that_all_have_by_now_is_not_sent_again(connection, task):
    made = released(connection, task, to=THREE)
    mark(connection, made, "sent", "sent", "delivered")

    assert claim(connection, made) is None

    assert message(connection, made.id).state == "sent"


@pytest.mark.parametrize(
    ("allowed", "goes"),
    [
        pytest.param(["@one.example", "@two.example"], True, id="domains"),
        pytest.param([address.lower() for address in THREE], True, id="addresses"),
        pytest.param(["@one.example"], False, id="not all of them"),
        pytest.param([], False, id="nobody"),
    ],
)
def test_only_who_is_on_the_list_of_allowed_ones_is_written_to(connection, task, allowed, goes):
    made = released(connection, task, to=THREE)
    change(connection, "installation", 1, allowed=allowed)

    assert (claim(connection, made) is not None) is goes

    row = message(connection, made.id)
    assert row.state == ("sending" if goes else "held")
    assert goes or row.why == "safety: a recipient is not on the list of allowed ones"


def test_a_suppressed_recipient_does_not_count_against_the_list_of_allowed_ones(connection, task):
    made = released(connection, task, to=THREE)
    change(connection, "installation", 1, allowed=["@two.example"])
    suppress(connection, task, "a@one.example")

    assert claim(connection, made) is not None


def test_a_redirect_lets_through_whom_the_list_would_not(connection, task):
    made = released(connection, task, to=THREE)
    change(connection, "installation", 1, allowed=[], redirect_to="test@firma.example")

    assert claim(connection, made).row.redirect_to == "test@firma.example"


def test_a_retry_costs_only_what_is_left(connection, task):
    made = released(connection, task, to=THREE)
    mark(connection, made, "pending", "sent", "failed")

    claimed = claim(connection, made)

    assert claimed.domains == {"one.example": 1}
    row = message(connection, made.id)
    assert (row.cost, row.domain, row.domains) == (1, "one.example", None)


def test_of_two_who_claim_one_lease_one_gets_it(shared):
    with shared.begin() as connection:
        made = released(connection, make_task(connection))
    start, won = threading.Barrier(4), []

    def try_it(number):
        start.wait()
        with db.transaction(shared) as connection:
            if claim(connection, made, worker=f"main/tests/{number}"):
                won.append(number)

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with shared.connect() as connection:
        assert [one.worker for one in attempts(connection, made.id)] == [f"main/tests/{won[0]}"]
    assert len(won) == 1


def test_a_claim_waits_for_a_rebuild_and_reads_the_new_generation(shared):
    with shared.begin() as connection:
        made = released(connection, make_task(connection))
    generations = []

    def try_it():
        with db.transaction(shared) as connection:
            generations.append(claim(connection, made).generation)

    thread = threading.Thread(target=try_it)
    with shared.begin() as rebuilding, shared.connect() as looking:
        db.lock_alone(rebuilding, db.Lock.GENERATION)
        thread.start()
        waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        wait_until(lambda: looking.execute(waits).scalar_one())
        assert generations == []
        change(rebuilding, "installation", 1, generation=41)
    thread.join()

    assert generations == [41]


def test_the_route_tells_of_the_account_and_of_those_who_share_it(connection, task):
    made = released(connection, task)
    query = text("""
        INSERT INTO process (id, server_id, host, pid, version, slots, beat_at)
        VALUES (gen_random_uuid(), :server, 'host', 1, '1', 3, clock_timestamp() - :ago)""")
    for seconds in (0, 5, 60):
        ago = timedelta(seconds=seconds)
        connection.execute(query, {"server": task.server_id, "ago": ago})

    account = claims.route(connection, made.id, made.lease, timedelta(seconds=30))

    assert (account.id, account.slots, account.breaker_open) == (task.account_id, 6, False)
    assert claims.route(connection, made.id, uuid.uuid4(), timedelta(seconds=30)) is None
