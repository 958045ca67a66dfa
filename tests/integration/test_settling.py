"""What becomes of a message and its recipients once an attempt has its answer, or none."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from models.states import MessageState
from tests.support.kernel import attempt, attempts, change, message, recipients
from tests.support.rows import OPEN, make_attempt, make_message, make_task
from tests.support.shared_database import rolled_back, shared_engine
from worker.core.outcomes import Outcome
from worker.outbox import settling
from worker.outbox.answers import Answer, RecipientAnswer

ACCEPTED, DEFERRED, REJECTED, UNKNOWN = (
    Outcome.ACCEPTED,
    Outcome.DEFERRED,
    Outcome.REJECTED,
    Outcome.UNKNOWN,
)
THREE = ["a@one.example", "b@two.example", "c@two.example"]
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


def answer(*outcomes, overall=None, charged=True, words="said so"):
    """The far side's answer for the recipients from the first on."""
    each = tuple(
        RecipientAnswer(position, outcome, words) for position, outcome in enumerate(outcomes)
    )
    return Answer(overall or outcomes[0], each, charged=charged, code=250, text=words)


def sending(connection, task, *, to=("anna@firma.example",), **columns):
    return make_message(connection, task, recipients=to, state="sending", **columns)


def settle(connection, sent, given, **options):
    return settling.settle(connection, sent.lease, given, 0.0, **options)


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
