"""Answers that come after a message was taken for unknown, or is on its way once more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

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
from tests.support.kernel import attempt, change, message, recipients
from tests.support.rows import make_attempt, make_message, make_task
from tests.support.shared_database import rolled_back, shared_engine
from worker.outbox import settling


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


@pytest.mark.parametrize(
    ("late", "state", "recipient"),
    [
        pytest.param(ACCEPTED, "sent", "sent", id="accepted"),
        pytest.param(REJECTED, "failed", "failed", id="rejected"),
        pytest.param(DEFERRED, "ready", "pending", id="deferred"),
        pytest.param(UNKNOWN, "unknown", "unknown", id="still none"),
    ],
)
def test_a_late_answer_settles_what_was_taken_for_unknown(connection, task, late, state, recipient):
    sent = sending(connection, task)
    assert settling.overtaken(connection, sent.id, sent.lease, "no answer") == "unknown"

    assert settle(connection, sent, answer(late)) == state

    row = message(connection, sent.id)
    assert (row.attempts, row.unknowns) == (1, 1)  # charged once
    assert recipients(connection, sent.id) == [recipient]
    assert attempt(connection, sent.lease).state == late


def once_more(connection, task, *, to=("anna@firma.example",), state="ready"):
    """A message sent once more after an unknown attempt; the attempt's id is the answer's."""
    made = make_message(connection, task, recipients=to, state=state, unknowns=1, attempts=1)
    domains = {"one.example": 1, "two.example": 2} if len(to) == 3 else {"firma.example": 1}
    opened = datetime.now(UTC) - timedelta(minutes=12)
    first = make_attempt(
        connection, task, made.id, state="unknown", opened_at=opened, domains=domains
    )
    change(connection, "message", made.id, task_id=task.id)
    return made, first


@pytest.mark.parametrize("state", ["ready", "released", "held"])
def test_a_late_acceptance_ends_a_message_that_waits_to_be_sent_once_more(connection, task, state):
    made, first = once_more(connection, task, state=state)

    assert settling.settle(connection, first, answer(ACCEPTED), 0.0) == "sent"

    row = message(connection, made.id)
    assert (row.state, row.lease, row.attempts) == ("sent", None, 1)
    assert attempt(connection, first).state == "accepted"


@pytest.mark.parametrize("state", ["ready", "released", "held", "sending"])
@pytest.mark.parametrize("late", [DEFERRED, REJECTED, UNKNOWN])
def test_any_other_late_answer_changes_only_the_evidence(connection, task, state, late):
    made, first = once_more(connection, task, state=state)
    before = message(connection, made.id)

    assert settling.settle(connection, first, answer(late), 0.0) is None

    assert message(connection, made.id) == before
    assert attempt(connection, first).state == late


def test_a_late_acceptance_for_some_leaves_the_others_to_be_sent(connection, task):
    made, first = once_more(connection, task, to=THREE)
    before = message(connection, made.id).not_before

    given = answer(ACCEPTED, DEFERRED, REJECTED)
    assert settling.settle(connection, first, given, 0.0) == "ready"

    assert recipients(connection, made.id) == ["sent", "pending", "pending"]
    row = message(connection, made.id)
    assert (row.cost, row.domain, row.not_before) == (2, "two.example", before)


def test_a_held_message_stays_held_for_those_whom_a_late_acceptance_leaves(connection, task):
    made, first = once_more(connection, task, to=THREE, state="held")

    given = answer(ACCEPTED, DEFERRED, DEFERRED)
    assert settling.settle(connection, first, given, 0.0) == "held"

    assert message(connection, made.id).cost == 2


def test_a_late_acceptance_keeps_a_message_from_a_third_hand_over(connection, task):
    made, first = once_more(connection, task, state="sending")

    assert settling.settle(connection, first, answer(ACCEPTED), 0.0) is None
    assert settle(connection, made, answer(DEFERRED)) == "sent"

    assert recipients(connection, made.id) == ["sent"]


def test_who_was_reached_by_the_second_attempt_is_not_undone_by_the_first(connection, task):
    made, first = once_more(connection, task, to=THREE, state="sending")
    assert settle(connection, made, answer(ACCEPTED, DEFERRED, DEFERRED)) == "ready"

    late = answer(DEFERRED, ACCEPTED, DEFERRED, overall=ACCEPTED)
    assert settling.settle(connection, first, late, 0.0) == "ready"

    assert recipients(connection, made.id) == ["sent", "sent", "pending"]


def test_an_acceptance_of_the_first_attempt_settles_a_second_unknown(connection, task):
    made, first = once_more(connection, task, state="sending")
    assert settle(connection, made, answer(UNKNOWN)) == "unknown"

    assert settling.settle(connection, first, answer(ACCEPTED), 0.0) == "sent"
