"""The audit of messages: states, unknowns and who settled them, silences, limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.support.bounces import bounce, failed
from tests.support.command_line import CommandLine
from tests.support.kernel import message
from tests.support.rows import make_attempt, make_message, make_task
from tests.support.shared_database import rolled_back, shared_engine
from worker.audit import audit_messages
from worker.core.outcomes import Outcome
from worker.core.receipts import read_report
from worker.outbox import people, receipts, settling
from worker.outbox.answers import Answer, RecipientAnswer

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
SILENCE, GRACE = 71 * MINUTE, 13 * MINUTE


@pytest.fixture(scope="module")
def shared(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def connection(shared):
    with rolled_back(shared, "Eva") as connection:
        yield connection


@pytest.fixture
def start():
    """A day ago."""
    return datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def task(connection):
    return make_task(connection, name="Pozvánky")


def audited(connection, since, until=None):
    until = until or datetime.now(UTC) + HOUR
    return audit_messages(connection, since, until, silence=SILENCE, grace=GRACE)


def unknown_message(connection, task, policy="hold"):
    """A message whose worker was lost, as recover leaves it."""
    query = text("UPDATE automatic_task SET unknown_policy = :policy WHERE id = :id")
    connection.execute(query, {"policy": policy, "id": task.id})
    made = make_message(connection, task, state="sending")
    settling.overtaken(connection, made.id, made.lease, "no answer")
    return made


def run(connection, task, since, until=None):
    query = text("""INSERT INTO task_run (task_id, started_at, ended_at, last_sweep_at)
        VALUES (:task, :since, :until, :until)""")
    connection.execute(query, {"task": task.id, "since": since, "until": until})


def attempt(connection, task, at, created=None, **columns):
    """An accepted attempt at a time, of a message that was enqueued and due then or before."""
    created = created or at - SECOND
    made = make_message(connection, task, state="sent", created_at=created, not_before=created)
    make_attempt(
        connection,
        task,
        made.id,
        **{"state": "accepted", "opened_at": at, "closed_at": at} | columns,
    )
    return made


def test_messages_are_counted_by_the_state_in_which_they_are_now(connection, task, start):
    for state in ("sent", "sent", "failed", "ready"):
        make_message(connection, task, state=state)
    make_message(connection, task, state="sent", created_at=start - HOUR)

    found = audited(connection, start)

    assert [(row["task"], row["state"], row["messages"]) for row in found.messages] == [
        ("Pozvánky", "failed", 1),
        ("Pozvánky", "sent", 2),
        (None, "ready", 1),
    ]


def test_attempts_are_counted_by_how_they_ended(connection, task, start):
    attempt(connection, task, start + HOUR, domains={"a.example": 3})
    attempt(connection, task, start + HOUR, state="rejected")
    attempt(connection, task, start - HOUR)

    found = audited(connection, start)

    assert [(r["task"], r["state"], r["attempts"], r["cost"]) for r in found.attempts] == [
        ("Pozvánky", "accepted", 1, 3),
        ("Pozvánky", "rejected", 1, 1),
    ]


def test_each_unknown_attempt_is_told_with_who_settled_it(connection, task, start):
    waiting = unknown_message(connection, task)
    sent, resent, given_up = (unknown_message(connection, task) for _ in range(3))
    people.resolve_sent(connection, sent.id)
    people.resolve_resend(connection, resent.id)
    people.cancel(connection, given_up.id)
    bounced = unknown_message(connection, task)
    octets = bounce(
        failed("anna@firma.example"), message_id=message(connection, bounced.id).message_id
    )
    receipts.take(connection, read_report(octets, "bounce"))
    policy = unknown_message(connection, task, "resend")

    found = audited(connection, start)

    assert found.settled == {"open": 1, "person": 3, "receipt": 1, "policy": 1}
    told = {one.message_id: (one.settled, one.who, one.action) for one in found.unknowns}
    assert told == {
        waiting.id: ("open", None, None),
        sent.id: ("person", "Eva", "resolve as sent"),
        resent.id: ("person", "Eva", "resolve by resending"),
        given_up.id: ("person", "Eva", "cancel"),
        bounced.id: ("receipt", "Eva", "receipt"),
        policy.id: ("policy", None, None),
    }


def test_a_bounce_that_came_while_the_message_was_being_sent_settled_it(connection, task, start):
    made = make_message(connection, task, state="sending")
    octets = bounce(
        failed("anna@firma.example"), message_id=message(connection, made.id).message_id
    )
    receipts.take(connection, read_report(octets, "bounce"))
    settling.overtaken(connection, made.id, made.lease, "no answer")

    (one,) = audited(connection, start).unknowns

    assert (one.settled, one.state) == ("receipt", "undelivered")


def test_an_attempt_that_was_answered_late_is_unknown_no_more(connection, task, start):
    made = unknown_message(connection, task)
    given = Answer(Outcome.ACCEPTED, (RecipientAnswer(0, Outcome.ACCEPTED),), code=250)
    settling.settle(connection, made.lease, given, 0.0)

    assert sum(audited(connection, start).settled.values()) == 0


def test_messages_that_a_restore_made_unknown_are_counted_by_themselves(connection, task, start):
    make_message(connection, task, state="unknown")

    found = audited(connection, start)

    assert (found.unknown_without_attempt, found.unknowns) == (1, ())


def test_a_silence_is_told_with_the_message_that_was_due_all_the_while(connection, task, start):
    run(connection, task, start, start + 10 * HOUR)
    attempt(connection, task, start + HOUR)
    witness = attempt(connection, task, start + 4 * HOUR, created=start + HOUR - MINUTE)

    (silence,) = audited(connection, start).silences

    assert silence == {
        "task": "Pozvánky",
        "since": start + HOUR,
        "until": start + 4 * HOUR,
        "message_id": witness.id,
        "run_was_open": True,
    }


@pytest.mark.parametrize(
    ("after", "enqueued"),
    [
        pytest.param(3 * HOUR, 2 * HOUR, id="nothing was due at its start"),
        pytest.param(SILENCE - SECOND, -MINUTE, id="full permits may explain it"),
    ],
)
def test_a_pause_that_proves_nothing_is_not_told(connection, task, start, after, enqueued):
    first = start + HOUR
    attempt(connection, task, first)
    attempt(connection, task, first + after, created=first + enqueued)

    assert audited(connection, start).silences == ()


def test_a_message_that_was_tried_before_or_held_is_no_witness(connection, task, start):
    since, until = start + HOUR, start + 5 * HOUR
    attempt(connection, task, since)
    held = attempt(connection, task, until, created=start)
    entry = text("""INSERT INTO audit_log (at, who, action, subject)
        VALUES (:at, 'Eva', 'release', :subject)""")
    connection.execute(entry, {"at": until - MINUTE, "subject": f"message:{held.id}"})
    tried = attempt(connection, task, start + HOUR / 2, created=start)
    make_attempt(
        connection,
        task,
        tried.id,
        state="accepted",
        opened_at=start + 9 * HOUR,
        closed_at=start + 9 * HOUR,
    )

    assert audited(connection, start).silences == ()


def test_a_silence_outside_a_run_is_told_as_such(connection, task, start):
    run(connection, task, start, start + HOUR)
    attempt(connection, task, start + HOUR)
    attempt(connection, task, start + 4 * HOUR, created=start)

    assert [one["run_was_open"] for one in audited(connection, start).silences] == [False]


def test_attempts_for_which_the_journal_has_no_run_are_told(connection, task, start):
    run(connection, task, start + HOUR, start + 2 * HOUR)
    run(connection, task, start + 6 * HOUR)
    for at in (HOUR + MINUTE, 2 * HOUR + GRACE - SECOND, 4 * HOUR, 5 * HOUR, 7 * HOUR):
        attempt(connection, task, start + at)

    (row,) = audited(connection, start).without_run

    assert row == {
        "task": "Pozvánky",
        "attempts": 2,
        "first": start + 4 * HOUR,
        "last": start + 5 * HOUR,
    }


def test_the_limits_of_the_time_are_told_with_each_change(connection, task, start):
    connection.execute(text("UPDATE automatic_task SET cadence = 500"))

    found = audited(connection, start)

    (first, second) = [one for one in found.limits if one.kind == "task"][-2:]
    assert (first.limit, second.limit) == (3000, 500)
    assert (first.name, second.name) == ("Pozvánky", "Pozvánky")
    assert second.since > datetime.now(UTC) - MINUTE


def test_a_time_without_length_is_refused(connection, start):
    with pytest.raises(ValueError, match="no time lies between"):
        audited(connection, start, start)


def test_the_command_shows_it_as_tables_and_as_json(engine, database_url, tmp_path):
    kadencia = CommandLine(tmp_path, DATABASE_URL=database_url)
    with engine.begin() as connection:
        unknown_message(connection, make_task(connection, name="Pozvánky"))

    shown, told = kadencia.done("audit", "messages"), kadencia.done("audit", "messages", "--json")

    assert "Neistá" in shown.out
    assert "limits in force" in shown.out
    assert told.json["settled"] == {"open": 1, "person": 0, "receipt": 0, "policy": 0}
    assert told.json["silence"] == 3600 + 660
    assert [one["limit"] for one in told.json["limits"] if one["kind"] == "task"] == [3000]
