"""What is kept no longer goes, and nothing that something else still needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.support.kernel import make_settings, message
from tests.support.rows import make_attempt, make_body, make_message, make_task
from worker import db, retention
from worker.outbox import retiring

DAYS = {"KADENCIA_BODY_RETENTION_DAYS": "30", "KADENCIA_EVIDENCE_RETENTION_DAYS": "100"}
OLD = datetime.now(UTC) - timedelta(days=200)


@pytest.fixture
def retain(engine):
    settings = make_settings(**DAYS)
    return lambda: retention.retain(engine, settings)


@pytest.fixture
def task(engine):
    with engine.begin() as connection:
        return make_task(connection)


def days_ago(days):
    return datetime.now(UTC) - timedelta(days=days)


def settled(engine, task, days, **columns):
    """A sent message that was settled so many days ago, with its evidence; its id."""
    with engine.begin() as connection:
        made = make_message(
            connection, task, state="sent", settled_at=days_ago(days), fields={"a": 1}, **columns
        )
        make_attempt(connection, task, made.id, state="accepted")
    return made.id


def body(engine, **columns):
    """A body that was stored long ago."""
    with engine.begin() as connection:
        return make_body(connection, created_at=OLD, **columns)


def attach(engine, digest, *bodies):
    """A file of some bodies."""
    with engine.begin() as connection:
        file = connection.execute(
            text("INSERT INTO attachment (digest, data) VALUES (:digest, 'x') RETURNING id"),
            {"digest": digest},
        ).scalar_one()
        for one in bodies:
            connection.execute(
                text("""
                    INSERT INTO body_attachment
                        (body_id, position, attachment_id, filename, content_type)
                    VALUES (:body, 0, :file, 'a.pdf', 'application/pdf')"""),
                {"body": one, "file": file},
            )
    return file


def ids(engine, table):
    with engine.connect() as connection:
        return set(connection.execute(text(f"SELECT id FROM {table}")).scalars())


def row(engine, message_id):
    with engine.connect() as connection:
        return message(connection, message_id)


def test_a_settled_message_loses_its_text_first_and_its_evidence_later(engine, task, retain):
    fresh, aged, _ = (settled(engine, task, days) for days in (29, 31, 101))

    retain()

    assert row(engine, fresh).body_id is not None
    assert (row(engine, aged).body_id, row(engine, aged).fields) == (None, None)
    assert row(engine, aged).subject
    assert ids(engine, "message") == {fresh, aged}
    with engine.connect() as connection:
        for table in ("recipient", "attempt"):
            query = text(f"SELECT DISTINCT message_id FROM {table}")
            assert set(connection.execute(query).scalars()) == {fresh, aged}


@pytest.mark.parametrize("state", ["ready", "released", "sending", "held", "unknown"])
def test_what_has_not_ended_is_kept_however_old_it_is(engine, task, retain, state):
    with engine.begin() as connection:
        made = make_message(connection, task, state=state, created_at=OLD)

    retain()

    assert row(engine, made.id).body_id is not None


def test_a_body_goes_with_the_last_message_that_has_it(engine, task, retain):
    shared, lonely, unused = body(engine), body(engine), body(engine)
    settled(engine, task, 31, body_id=shared)
    settled(engine, task, 1, body_id=shared)
    settled(engine, task, 31, body_id=lonely)

    retain()

    assert shared in ids(engine, "body")
    assert not {lonely, unused} & ids(engine, "body")


def test_a_body_that_was_just_stored_waits_for_its_message(engine, retain):
    with engine.begin() as connection:
        fresh = make_body(connection)

    retain()

    assert fresh in ids(engine, "body")


def test_a_file_that_two_bodies_share_goes_with_the_second(engine, task, retain):
    kept, gone = body(engine), body(engine)
    settled(engine, task, 1, body_id=kept)
    shared = attach(engine, b"shared", kept, gone)
    lonely = attach(engine, b"lonely", body(engine))

    retain()

    assert gone not in ids(engine, "body")
    assert shared in ids(engine, "attachment")
    assert lonely not in ids(engine, "attachment")


def test_the_journal_is_kept_as_long_as_the_evidence(engine, task, retain):
    with engine.begin() as connection:
        made = [
            connection.execute(
                text("INSERT INTO task_run (task_id, ended_at) VALUES (:t, :at) RETURNING id"),
                {"t": task.id, "at": at},
            ).scalar_one()
            for at in (days_ago(99), days_ago(101), None)
        ]

    retain()

    assert ids(engine, "task_run") == {made[0], made[2]}


def test_more_than_a_batch_goes_in_one_run(engine, task, retain, monkeypatch):
    monkeypatch.setattr(retiring, "BATCH", 3)
    for _ in range(7):
        settled(engine, task, 101)

    retain()

    assert ids(engine, "message") == set()


def test_who_comes_second_leaves_the_work_to_the_first(engine, task, retain):
    old = settled(engine, task, 101)

    with engine.begin() as holding:
        db.lock_alone(holding, db.Lock.RETENTION)
        retain()

    assert old in ids(engine, "message")


def test_a_body_that_a_new_message_is_about_to_use_is_kept(engine, retain):
    reused = body(engine)

    with engine.begin() as enqueueing:
        enqueueing.execute(text("SELECT id FROM body WHERE id = :id FOR KEY SHARE"), {"id": reused})
        retain()

    assert reused in ids(engine, "body")


def test_a_body_that_is_taken_up_at_the_last_moment_does_not_stop_the_rest(engine, task, retain):
    taken_up = body(engine)
    lonely = attach(engine, b"lonely")
    with engine.begin() as connection:
        # What a message does that is stored between our look and our deleting.
        connection.execute(
            text("""
                CREATE FUNCTION take_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    RAISE EXCEPTION 'still referenced' USING ERRCODE = 'foreign_key_violation';
                END $$""")
        )
        connection.execute(
            text(
                "CREATE TRIGGER take_up BEFORE DELETE ON body FOR EACH ROW "
                "EXECUTE FUNCTION take_up()"
            )
        )

    retain()

    assert taken_up in ids(engine, "body")
    assert lonely not in ids(engine, "attachment")
