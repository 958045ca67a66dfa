"""What becomes of a message and its recipients once an attempt has its answer, or none."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from models.states import MessageState
from tests.support.answers import (
    ACCEPTED,
    DEFERRED,
    REJECTED,
    THREE,
    UNKNOWN,
    answer,
    sending,
    settle,
)
from tests.support.kernel import attempt, attempts, change, message, recipients
from tests.support.rows import OPEN, make_attempt, make_message, make_task
from tests.support.shared_database import rolled_back, shared_engine
from worker.core.outcomes import Outcome
from worker.outbox import settling
from worker.outbox.answers import Answer, RecipientAnswer

WORKER = "main tests"
"""As `make_attempt` signs."""


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
    return make_task(connection, retry_first=60, most_attempts=5)


def test_an_accepted_message_is_sent_and_its_evidence_closed(connection, task):
    sent = sending(connection, task)

    assert settle(connection, sent, answer(ACCEPTED)) == "sent"

    row, closed = message(connection, sent.id), attempt(connection, sent.lease)
    assert (row.attempts, row.lease, row.deadline) == (1, None, None)
    assert row.settled_at is not None
    assert (closed.state, closed.code, closed.text) == ("accepted", 250, "said so")
    assert recipients(connection, sent.id) == ["sent"]


def test_an_answer_that_could_not_be_written_at_once_counts_from_when_it_came(connection, task):
    sent = sending(connection, task)

    settle(connection, sent, answer(ACCEPTED), ago=timedelta(seconds=90))

    query = text("SELECT clock_timestamp() - closed_at FROM attempt WHERE id = :id")
    since = connection.execute(query, {"id": sent.lease}).scalar_one()
    assert timedelta(seconds=90) <= since < timedelta(seconds=120)


def test_a_deferred_message_is_tried_again_later_and_is_charged(connection, task):
    sent = sending(connection, task)

    assert settle(connection, sent, answer(DEFERRED)) == "ready"

    row = message(connection, sent.id)
    assert (row.attempts, row.why, row.lease) == (1, "said so", None)
    wait = row.not_before - datetime.now(UTC)
    assert timedelta(seconds=25) < wait <= timedelta(seconds=31)  # half of a minute, no jitter


def test_a_message_is_given_up_when_its_attempts_are_used_up(connection, task):
    sent = sending(connection, task, attempts=4)

    assert settle(connection, sent, answer(DEFERRED)) == "failed"

    assert message(connection, sent.id).attempts == 5
    assert recipients(connection, sent.id) == ["failed"]


def test_a_message_that_would_be_tried_again_after_its_expiry_expires(connection, task):
    soon = datetime.now(UTC) + timedelta(seconds=10)
    sent = sending(connection, task, expires_at=soon)

    assert settle(connection, sent, answer(DEFERRED)) == "expired"

    assert recipients(connection, sent.id) == ["failed"]


def test_a_rejected_message_has_failed(connection, task):
    sent = sending(connection, task)

    assert settle(connection, sent, answer(REJECTED)) == "failed"

    assert recipients(connection, sent.id) == ["failed"]


def test_a_server_that_wants_us_slower_uses_up_no_attempt(connection, task):
    sent = sending(connection, task, attempts=4)
    before = message(connection, sent.id).not_before

    assert settle(connection, sent, answer(DEFERRED, charged=False)) == "ready"

    row = message(connection, sent.id)
    assert (row.attempts, row.not_before) == (4, before)


def test_only_the_deferred_recipients_are_tried_again(connection, task):
    sent = sending(connection, task, to=THREE)

    given = answer(ACCEPTED, REJECTED, DEFERRED)
    assert settle(connection, sent, given) == "ready"

    assert recipients(connection, sent.id) == ["sent", "failed", "pending"]
    row = message(connection, sent.id)
    assert (row.cost, row.domain, row.domains) == (1, "two.example", None)
    assert row.not_before > datetime.now(UTC)
    assert [reply[:2] for reply in attempt(connection, sent.lease).replies] == [
        [0, "accepted"],
        [1, "rejected"],
        [2, "deferred"],
    ]


def test_a_message_that_reached_somebody_is_sent_though_others_were_given_up(connection, task):
    sent = sending(connection, task, to=THREE, attempts=4)

    assert settle(connection, sent, answer(ACCEPTED, DEFERRED, DEFERRED)) == "sent"

    assert recipients(connection, sent.id) == ["sent", "failed", "failed"]


def test_who_is_still_to_be_reached_is_counted_by_domain(connection, task):
    sent = sending(connection, task, to=THREE)

    settle(connection, sent, answer(DEFERRED, DEFERRED, DEFERRED))

    row = message(connection, sent.id)
    assert (row.cost, row.domains) == (3, {"one.example": 1, "two.example": 2})


def test_an_unknown_message_is_held_unless_its_task_says_otherwise(connection, task):
    sent = sending(connection, task, to=THREE)

    given = answer(UNKNOWN, UNKNOWN, DEFERRED)
    assert settle(connection, sent, given) == "unknown"

    row = message(connection, sent.id)
    assert (row.attempts, row.unknowns, row.settled_at) == (1, 1, None)
    assert recipients(connection, sent.id) == ["unknown", "unknown", "pending"]


def test_an_unknown_message_is_sent_once_more_where_the_policy_is_resend(connection):
    task = make_task(connection, unknown_policy="resend")
    sent = sending(connection, task)
    before = message(connection, sent.id)

    assert settle(connection, sent, answer(UNKNOWN)) == "ready"

    row = message(connection, sent.id)
    assert (row.attempts, row.unknowns, row.message_id) == (1, 1, before.message_id)
    assert recipients(connection, sent.id) == ["pending"]
    assert attempt(connection, sent.lease).state == "unknown"


def test_a_second_unknown_is_held_whatever_the_policy(connection):
    task = make_task(connection, unknown_policy="resend")
    sent = sending(connection, task, unknowns=1)

    assert settle(connection, sent, answer(UNKNOWN)) == "unknown"


def test_an_unknown_message_that_has_expired_is_not_sent_once_more(connection):
    task = make_task(connection, unknown_policy="resend")
    sent = sending(connection, task, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    assert settle(connection, sent, answer(UNKNOWN)) == "unknown"


@pytest.mark.parametrize("given", list(Outcome))
def test_an_answer_that_is_written_twice_counts_once(connection, task, given):
    sent = sending(connection, task)

    settle(connection, sent, answer(given))
    once = message(connection, sent.id)
    settle(connection, sent, answer(given))

    again = message(connection, sent.id)
    assert (again.state, again.attempts, again.unknowns, again.not_before) == (
        once.state,
        once.attempts,
        once.unknowns,
        once.not_before,
    )


def test_an_answer_to_an_attempt_that_was_deleted_is_let_go(connection):
    assert settling.settle(connection, uuid.uuid4(), answer(ACCEPTED), 0.0) is None


@pytest.mark.parametrize("given", list(Outcome))
@pytest.mark.parametrize("state", list(MessageState))
def test_no_answer_in_any_state_breaks_a_rule_of_the_database(connection, task, state, given):
    made = make_message(connection, task, recipients=THREE, state=state)
    change(connection, "message", made.id, task_id=task.id)
    theirs = make_attempt(connection, task, made.id)
    ours = made.lease if state == "sending" else theirs

    for one in (ours, theirs):
        settling.settle(connection, one, answer(given, ACCEPTED, DEFERRED, overall=given), 0.5)
    settling.overtaken(connection, made.id, ours, "no answer")
    settling.fail(connection, made.id, ours, "malformed")
    settling.undo(connection, made.id, ours, "nothing went")

    row = message(connection, made.id)
    assert (row.settled_at is None) == (row.state in OPEN)
    assert {one.state for one in attempts(connection, made.id)} == {given}


def test_a_retry_may_end_after_the_receipts_of_the_others(connection, task):
    sent = sending(connection, task, to=THREE)
    query = text("UPDATE recipient SET state = :state WHERE message_id = :id AND position = :n")
    for position, state in ((0, "delivered"), (1, "undelivered")):
        connection.execute(query, {"state": state, "id": sent.id, "n": position})

    given = Answer(REJECTED, (RecipientAnswer(2, REJECTED, "no such user"),))
    assert settle(connection, sent, given) == "delivered"


def test_a_claim_that_is_undone_leaves_the_message_as_if_it_had_not_been_claimed(connection, task):
    sent = sending(connection, task)

    settling.undo(connection, sent.id, sent.lease, "no permit now")

    row = message(connection, sent.id)
    assert (row.state, row.attempts, row.lease, row.why) == ("ready", 0, None, "no permit now")
    assert attempt(connection, sent.lease).state == "void"


def test_a_claim_that_was_taken_for_unknown_meanwhile_is_not_undone(connection, task):
    sent = sending(connection, task)
    settling.overtaken(connection, sent.id, sent.lease, "no answer")

    settling.undo(connection, sent.id, sent.lease, "no permit now")

    assert message(connection, sent.id).state == "unknown"
    assert attempt(connection, sent.lease).state == "unknown"


def test_a_claim_in_doubt_that_was_committed_is_taken_back(connection, task):
    sent = sending(connection, task)

    settling.undo_in_doubt(connection, sent.id, sent.lease, WORKER, "the database was away")

    assert message(connection, sent.id).state == "ready"
    assert attempt(connection, sent.lease).state == "void"


def test_a_claim_in_doubt_that_was_never_committed_is_given_back(connection, task):
    made = make_message(connection, task, state="released")

    settling.undo_in_doubt(connection, made.id, made.lease, WORKER, "the database was away")

    assert message(connection, made.id).state == "ready"


def test_a_claim_in_doubt_is_left_alone_where_another_process_sends_under_the_token(
    connection, task
):
    sent = sending(connection, task)

    settling.undo_in_doubt(connection, sent.id, sent.lease, "main/other/2", "the database was away")

    assert message(connection, sent.id).state == "sending"
    assert attempt(connection, sent.lease).state == "open"


def test_a_message_that_cannot_be_composed_fails_and_its_attempt_counts_for_nothing(
    connection, task
):
    sent = sending(connection, task)

    assert settling.fail(connection, sent.id, sent.lease, "field name: is missing") == "failed"

    row = message(connection, sent.id)
    assert (row.attempts, row.why) == (0, "field name: is missing")
    assert attempt(connection, sent.lease).state == "void"


def test_a_message_is_taken_for_unknown_even_if_its_attempt_is_no_longer_open(connection, task):
    sent = sending(connection, task)
    connection.execute(
        text("UPDATE attempt SET state = 'void', closed_at = now() WHERE id = :id"),
        {"id": sent.lease},
    )

    assert settling.overtaken(connection, sent.id, sent.lease, "no answer") == "unknown"
