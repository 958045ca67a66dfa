"""What is kept no longer goes, and nothing that something else still needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.support.kernel import make_settings, message
from tests.support.rows import (
    make_attempt,
    make_body,
    make_message,
    make_segment,
    make_sms,
    make_sms_task,
    make_task,
)
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


def settled_sms(engine, days):
    """An SMS that was delivered so many days ago, with a segment and its report; its id."""
    with engine.begin() as connection:
        task = make_sms_task(connection)
        made = make_sms(connection, task, state="delivered", settled_at=days_ago(days))
        make_segment(connection, made.id)
        report(connection, task, days, made.id)
    return made.id


def report(connection, task, days, message_id=None):
    """A delivery report that came so many days ago; its id."""
    query = text("""
        INSERT INTO delivery_report (account_id, source, segment, status, digest, at, message_id)
        VALUES (:account, 'any', 1, 'DELIVRD', decode(md5(random()::text), 'hex'), :at, :message)
        RETURNING id""")
    values = {"account": task.account_id, "at": days_ago(days), "message": message_id}
    return connection.execute(query, values).scalar_one()


def test_an_sms_loses_its_text_first_and_its_evidence_later(engine, retain):
    fresh, aged, _ = (settled_sms(engine, days) for days in (29, 31, 101))

    retain()

    with engine.connect() as connection:
        texts = dict(connection.execute(text("SELECT message_id, text FROM sms")).all())
        assert set(texts) == {fresh, aged}
        assert (texts[fresh] is None, texts[aged]) == (False, None)
        for table in ("sms_segment", "delivery_report", "recipient"):
            query = text(f"SELECT DISTINCT message_id FROM {table}")
            assert set(connection.execute(query).scalars()) == {fresh, aged}


@pytest.mark.parametrize("state", ["ready", "released", "sending", "held", "unknown"])
def test_the_text_of_an_sms_that_has_not_ended_is_kept(engine, retain, state):
    with engine.begin() as connection:
        make_sms(connection, make_sms_task(connection), state=state, created_at=OLD)

    retain()

    with engine.connect() as connection:
        assert connection.execute(text("SELECT text FROM sms")).scalar_one()


def test_reports_that_fit_no_sms_and_sms_that_came_in_are_kept_as_long_as_evidence(engine, retain):
    with engine.begin() as connection:
        task = make_sms_task(connection)
        fresh, _ = report(connection, task, 99), report(connection, task, 101)
        query = text("""
            INSERT INTO inbound_sms (account_id, uuid, sender, recipient, text, stop, at)
            VALUES (:a, :days, '+421903622237', '+421903622238', 'STOP', true, :at)""")
        for days in (99, 101):
            values = {"a": task.account_id, "days": str(days), "at": days_ago(days)}
            connection.execute(query, values)

    retain()

    assert ids(engine, "delivery_report") == {fresh}
    with engine.connect() as connection:
        assert list(connection.execute(text("SELECT uuid FROM inbound_sms")).scalars()) == ["99"]
