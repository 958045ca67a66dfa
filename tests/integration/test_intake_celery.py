"""Enqueueing by Celery: what can be sent becomes a message once, all else is kept."""

from __future__ import annotations

import json
import threading
import uuid

import pytest
from sqlalchemy import text

from models.states import Channel
from settings import load
from tests.support.rows import make_company, make_establishment
from tests.support.shared_database import shared_engine
from worker import db, intake
from worker.intake import celery_tasks
from worker.registers import RegisterError


@pytest.fixture(scope="module")
def engine(services):
    with shared_engine(services) as engine:
        with engine.begin() as connection:
            make_company(connection, name="Kvetinárstvo Ruža")
        yield engine


def mail(**changes):
    return {
        "schema": 1,
        "to": ["jana@zakaznik.example"],
        "subject": "Faktúra",
        "text": "Dobrý deň",
        "idempotency_key": str(uuid.uuid4()),
        **changes,
    }


def hand_in(engine, document, channel=Channel.EMAIL, arguments=(), **keywords):
    given = {"document": document, **keywords}
    return intake.hand_in(engine, load({}), channel, arguments, given, "gen7@eshop")


def kept(engine):
    """The newest row of the intake."""
    with engine.connect() as connection:
        return connection.execute(text("SELECT * FROM intake ORDER BY id DESC LIMIT 1")).one()


def message(engine, key):
    with engine.connect() as connection:
        query = text("SELECT * FROM message WHERE idempotency_key = :key")
        return connection.execute(query, {"key": key}).all()


def test_a_task_that_celery_doubled_makes_one_message(engine):
    document = mail(
        priority="transactional", attachments=[{"filename": "a.txt", "content": "QQ=="}]
    )

    assert hand_in(engine, document)
    assert hand_in(engine, document)

    [found] = message(engine, document["idempotency_key"])
    assert (found.state, found.priority) == ("ready", 0)


def test_an_sms_comes_by_its_own_task(engine):
    document = {"schema": 1, "number": "0903 622 237", "text": "Ahoj", "idempotency_key": "sms-1"}

    assert hand_in(engine, document, Channel.SMS)

    [found] = message(engine, "sms-1")
    assert found.channel == "sms"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        pytest.param(mail(schema=2), "schema: is 2, and this version takes 1", id="newer"),
        pytest.param({"to": []}, "schema: is None", id="without a schema"),
        pytest.param(mail(schema=True), "schema: is True", id="a schema that only looks like it"),
        pytest.param("text", "document: is of type str", id="no object"),
        pytest.param(mail(idempotency_key=None), "idempotency_key: is missing", id="no key"),
        pytest.param(mail(urgent=True), "urgent: is no field of schema 1", id="an unknown field"),
        pytest.param({"schema": 1, "idempotency_key": "k"}, "subject: is missing", id="no subject"),
        pytest.param(mail(to="jana@b.example"), "to: input should be a valid list", id="no list"),
        pytest.param(mail(not_before=5), "not_before: is no text with a time", id="a number"),
        pytest.param(mail(to=["jana"]), "jana", id="no address"),
        pytest.param(mail(text="a\x00b"), "text: has the character U+0000", id="a NUL"),
        pytest.param(mail(subject="\ud800"), "U+D800", id="half a character"),
        pytest.param(mail(fields={"a": float("nan")}, text="{{ a }}"), "", id="no number"),
        pytest.param(mail(company="Iná"), "there is no company 'Iná'", id="no such company"),
        pytest.param(mail(company=5), "company: input should be a valid string", id="no name"),
        pytest.param(mail(establishment="Nič"), "no establishment 'Nič'", id="no such place"),
        pytest.param(mail(expires_at="2020-01-01T00:00:00Z"), "is not after", id="expired"),
        pytest.param(mail(attachments=[{"filename": "a", "content": "á"}]), "base64", id="a file"),
    ],
)
def test_what_cannot_be_sent_is_kept_with_the_reason(engine, document, why):
    assert hand_in(engine, document)

    found = kept(engine)
    assert (found.state, found.source, found.origin) == ("rejected", "celery", "gen7@eshop")
    assert why in found.why
    assert found.document is not None


def test_a_task_of_another_shape_is_kept_too(engine):
    assert hand_in(engine, mail(), arguments=("x",))
    assert kept(engine).document["args"] == ["x"]

    assert hand_in(engine, mail(), urgent=True)
    assert kept(engine).why.startswith("task: takes one keyword argument, document")


def nested(levels):
    found = []
    for _ in range(levels):
        found = [found]
    return found


def test_of_what_cannot_even_be_kept_the_reason_is(engine):
    document = mail(schema=9, fields={"a": nested(900)})

    assert hand_in(engine, document)

    assert kept(engine).document == celery_tasks.NOT_KEPT
    assert "schema: is 9" in kept(engine).why


def test_rejected_again_it_is_kept_once_and_mended_it_is_a_message(engine):
    document = mail(establishment="Stánok")
    hand_in(engine, document)
    first = kept(engine)
    hand_in(engine, document)
    assert kept(engine).id == first.id

    hand_in(engine, {**document, "establishment": None})

    [found] = message(engine, document["idempotency_key"])
    assert (kept(engine).state, kept(engine).message_id) == ("accepted", found.id)
    assert kept(engine).document is None


def test_a_person_retries_it_once_its_cause_is_mended_or_dismisses_it(engine):
    document = mail(establishment="Nový stánok")
    hand_in(engine, document)
    hand_in(engine, mail(schema=9))
    number = kept(engine).id
    with db.transaction(engine, who="jana") as connection:
        make_establishment(connection, kept(engine).company_id, name="Nový stánok")
        intake.retry(connection, [number - 1])
        intake.dismiss(connection, [number])
        with pytest.raises(RegisterError, match=f"nothing rejected has the number {number}"):
            intake.dismiss(connection, [number])

    intake.take_in(engine, load({}))

    assert len(message(engine, document["idempotency_key"])) == 1
    assert (kept(engine).state, kept(engine).document) == ("dismissed", None)
    with engine.connect() as connection:
        said = text("SELECT action FROM audit_log WHERE who = 'jana' AND subject = :subject")
        assert connection.execute(said, {"subject": f"intake:{number}"}).scalars().all() == [
            "dismiss"
        ]


def test_a_key_that_was_used_for_other_content_is_a_reason_to_reject(engine):
    document = mail()
    hand_in(engine, document)

    hand_in(engine, {**document, "subject": "Iné"})

    assert "was used before for other content" in kept(engine).why
    assert len(message(engine, document["idempotency_key"])) == 1


def test_while_the_database_is_away_nothing_is_taken_for_done(services, monkeypatch):
    monkeypatch.setattr(celery_tasks, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(celery_tasks, "PAUSE_SECONDS", 0.05)
    engine = db.make_engine(services.postgres.url_of("gone"), name="tests")
    try:
        assert not hand_in(engine, mail())
    finally:
        engine.dispose()


def test_what_waits_is_taken_in_by_several_at_once_and_once(engine):
    with engine.begin() as connection:
        company = make_company(connection, name="Súbežná")
        query = text("""INSERT INTO intake (company_id, channel, source, document, idempotency_key)
            VALUES (:company, 'email', 'sql', CAST(:document AS jsonb), :key)""")
        for number in range(450):
            document = mail(subject="Súbežne", idempotency_key=f"s-{number}")
            values = {"document": json.dumps(document), "key": f"s-{number}", "company": company}
            connection.execute(query, values)

    def until_done():
        while intake.take_in(engine, load({})):
            pass

    threads = [threading.Thread(target=until_done) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    with engine.connect() as connection:
        count = text(
            "SELECT count(*), count(DISTINCT idempotency_key) FROM message"
            " WHERE subject = 'Súbežne'"
        )
        assert connection.execute(count).one() == (450, 450)
        waiting = text("SELECT count(*) FROM intake WHERE state = 'waiting'")
        assert connection.execute(waiting).scalar_one() == 0


def test_a_row_that_the_database_itself_chokes_on_blocks_no_other(engine):
    with engine.begin() as connection:
        company = make_company(connection, name="Otrávená")
        connection.execute(
            text("""
            CREATE FUNCTION choke() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF NEW.subject = 'Jed' THEN RAISE invalid_text_representation; END IF;
                RETURN NEW; END $$""")
        )
        connection.execute(
            text(
                """CREATE TRIGGER choke BEFORE INSERT ON message
                FOR EACH ROW EXECUTE FUNCTION choke()"""
            )
        )
        query = text("""INSERT INTO intake (company_id, channel, source, document)
            VALUES (:company, 'email', 'sql', CAST(:document AS jsonb))""")
        for subject in ("Pred jedom", "Jed", "Po jede"):
            document = json.dumps(mail(subject=subject, idempotency_key=subject))
            connection.execute(query, {"document": document, "company": company})

    assert intake.take_in(engine, load({})) is False

    with engine.connect() as connection:
        states = text("SELECT state FROM intake WHERE company_id = :company ORDER BY id")
        found = connection.execute(states, {"company": company}).scalars().all()
    assert found == ["accepted", "rejected", "accepted"]
