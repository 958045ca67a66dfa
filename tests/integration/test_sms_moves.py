"""What a person can do with an SMS."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.support.rows import make_attempt, make_segment, make_sms, make_sms_task
from worker import db
from worker.outbox import people
from worker.outbox.people import MoveRefused


@pytest.fixture(scope="module")
def database_url(services):
    """One database for all of them: each test has a task of its own."""
    url = services.fresh_database()
    yield url
    services.drop_database(url)


@pytest.fixture(scope="module")
def engine(database_url):
    engine = db.make_engine(database_url, name="tests", pool_size=5)
    yield engine
    engine.dispose()


@pytest.fixture
def task(engine):
    with engine.begin() as connection:
        return make_sms_task(connection)


def sms(engine, task, state, **more):
    with engine.begin() as connection:
        return make_sms(connection, task, state=state, **more).id


def move(engine, message_id, how, **more):
    with engine.begin() as connection:
        return how(connection, message_id, **more)


def refusal(engine, message_id, how):
    with pytest.raises(MoveRefused) as refused:
        move(engine, message_id, how)
    return str(refused.value)


def stored(engine, message_id):
    query = text("""
        SELECT m.state, m.why, m.cost, m.domain, m.attempts, m.expires_at > now() AS good,
            r.state AS recipient, s.awaited, s.asked_at, s.unconfirmed_at, s.sent_at,
            s.delivered_at, s.read_at, s.status, s.operator, s.price,
            (SELECT count(*) FROM sms_segment g WHERE g.message_id = m.id) AS segments
        FROM message m JOIN sms s ON s.message_id = m.id JOIN recipient r ON r.message_id = m.id
        WHERE m.id = :id""")
    with engine.connect() as connection:
        return connection.execute(query, {"id": message_id}).one()


@pytest.mark.parametrize(
    ("state", "how", "after"),
    [
        pytest.param("ready", people.hold, "held", id="a ready one can be held"),
        pytest.param("released", people.hold, "held", id="a released one can be held"),
        pytest.param("held", people.release, "ready", id="a held one can be released"),
        pytest.param("ready", people.cancel, "cancelled", id="a ready one can be cancelled"),
        pytest.param("unknown", people.cancel, "cancelled", id="so can one nobody knows of"),
        pytest.param("failed", people.resend, "ready", id="a failed one can be sent again"),
        pytest.param("undelivered", people.resend, "ready", id="so can an undelivered one"),
        pytest.param("cancelled", people.resend, "ready", id="and a cancelled one"),
    ],
)
def test_an_sms_is_moved_as_an_e_mail_is(engine, task, state, how, after):
    made = sms(engine, task, state, text="á" * 100)

    moved = move(engine, made, how)

    assert (moved.before, moved.after) == (state, after)
    row = stored(engine, made)
    assert (row.state, row.cost, row.domain) == (after, 2, "+421")


OF_EARLIER = {
    "awaited": True,
    "asked_at": "2026-01-01T10:00Z",
    "unconfirmed_at": "2026-01-02T10:00Z",
    "status": "EXPIRED",
    "operator": "231.1",
    "price": "0.031",
}


def test_an_sms_that_is_sent_again_shows_nothing_of_the_earlier_sending_but_its_evidence(
    engine, task
):
    made = sms(engine, task, "undelivered", sms=OF_EARLIER)
    with engine.begin() as connection:
        make_segment(connection, made, status="EXPIRED")
        make_attempt(connection, task, made, state="accepted")

    move(engine, made, people.resend)

    row = stored(engine, made)
    assert (row.state, row.recipient, row.attempts, row.good) == ("ready", "pending", 0, True)
    assert (row.awaited, row.asked_at, row.unconfirmed_at, row.status) == (False, None, None, None)
    assert (row.sent_at, row.delivered_at, row.read_at) == (None, None, None)
    assert (row.segments, row.operator, str(row.price)) == (1, "231.1", "0.0310")


def test_an_sms_that_was_delivered_is_sent_again_only_on_demand(engine, task):
    made = sms(engine, task, "delivered")

    assert "--all" in refusal(engine, made, people.resend)
    move(engine, made, people.resend, to_all=True)

    row = stored(engine, made)
    assert (row.state, row.recipient, row.delivered_at) == ("ready", "pending", None)


@pytest.mark.parametrize(
    ("state", "how"),
    [
        pytest.param("undelivered", people.resend, id="resend"),
        pytest.param("unknown", people.resolve_resend, id="resolve by resending"),
    ],
)
def test_an_sms_whose_text_is_gone_cannot_be_sent_again(engine, task, state, how):
    made = sms(engine, task, state, sms={"text": None})

    assert refusal(engine, made, how).endswith("retention has dropped its text")

    assert stored(engine, made).state == state


def test_an_sms_of_which_a_person_knows_that_it_went_waits_for_its_reports(engine, task):
    made = sms(engine, task, "unknown")
    with engine.begin() as connection:
        attempt = make_attempt(connection, task, made, state="unknown")
        query = text("SELECT opened_at FROM attempt WHERE id = :id")
        opened = connection.execute(query, {"id": attempt}).scalar_one()

    move(engine, made, people.resolve_sent)

    row = stored(engine, made)
    assert (row.state, row.recipient, row.awaited, row.sent_at) == ("sent", "sent", True, opened)


def test_an_sms_of_which_nobody_knows_can_be_sent_once_more(engine, task):
    made = sms(engine, task, "unknown")

    move(engine, made, people.resolve_resend)

    row = stored(engine, made)
    assert (row.state, row.recipient, row.awaited) == ("ready", "pending", False)


@pytest.mark.parametrize(
    ("state", "how", "hint"),
    [
        pytest.param("unknown", people.hold, "`kadencia sms resolve`", id="unknown"),
        pytest.param("held", people.resend, "`kadencia sms release`", id="held"),
        pytest.param("failed", people.cancel, "`kadencia sms resend`", id="ended"),
    ],
)
def test_a_refusal_names_the_command_for_sms(engine, task, state, how, hint):
    made = sms(engine, task, state)

    assert hint in refusal(engine, made, how)
