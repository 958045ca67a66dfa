"""One message, from a caller's transaction into the outbox."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from sqlalchemy import text

from models.states import Priority
from settings import load
from tests.support.rows import make_company, make_establishment, make_sms_task, make_task
from worker import db
from worker.compose import AttachmentPart
from worker.core.content import ContentError, TooLargeError
from worker.enqueueing import Draft, KeyConflict, enqueue
from worker.outbox.bodies import read_body

SETTINGS = load({})
LOGO = AttachmentPart("logo.png", "image/png", b"PNG", "logo")


@pytest.fixture(scope="module")
def database_url(services):
    """One database for all of them: each test has a company of its own."""
    url = services.fresh_database()
    yield url
    services.drop_database(url)


@pytest.fixture(scope="module")
def engine(database_url):
    engine = db.make_engine(database_url, name="tests", pool_size=5)
    yield engine
    engine.dispose()


@pytest.fixture
def company(engine):
    with engine.begin() as connection:
        return make_company(connection, domain="firma.example")


def letter(company, **more):
    known = {"to": ["Anna <anna@a.example>"], "subject": "Faktúra 7", "text": "Dobrý deň"}
    return Draft(company_id=company, **{**known, **more})


def put(engine, draft, settings=SETTINGS):
    with engine.begin() as connection:
        return enqueue(connection, draft, settings)


def rows(engine, query, **values):
    with engine.connect() as connection:
        return connection.execute(text(query), values).all()


def stored(engine, company):
    return rows(engine, "SELECT * FROM message WHERE company_id = :c ORDER BY id", c=company)


def test_a_message_is_stored_ready_with_everything_that_its_attempts_need(engine, company):
    draft = letter(
        company,
        cc=["bob@b.example"],
        bcc=["eva@a.example"],
        html='<img src="cid:logo">',
        attachments=[LOGO],
        reply_to=["Účtáreň <uct@firma.example>"],
        headers=[("X-Doklad", "7")],
        reference="doklad 7",
    )

    done = put(engine, draft)

    (row,) = stored(engine, company)
    query = "SELECT * FROM recipient WHERE message_id = :id ORDER BY position"
    people = rows(engine, query, id=row.id)
    assert done.created
    assert (row.id, row.state, row.priority) == (done.message_id, "ready", Priority.NORMAL)
    assert row.message_id.endswith("@firma.example>")
    assert row.expires_at - row.not_before == timedelta(days=3)
    assert (row.domain, row.domains, row.cost) == ("a.example", {"a.example": 2, "b.example": 1}, 3)
    assert [(one.kind, one.address, one.name) for one in people] == [
        ("to", "anna@a.example", "Anna"),
        ("cc", "bob@b.example", None),
        ("bcc", "eva@a.example", None),
    ]
    assert row.headers == [["X-Doklad", "7"]]
    with engine.connect() as connection:
        assert read_body(connection, row.body_id).files[0].content == b"PNG"


def test_a_message_of_one_domain_keeps_no_counts(engine, company):
    put(engine, letter(company, to=["a@a.example", "b@a.example"]))

    (row,) = stored(engine, company)
    assert (row.domain, row.domains, row.cost) == ("a.example", None, 2)


def test_a_message_exists_only_if_its_callers_transaction_commits(engine, company):
    with engine.connect() as connection:
        enqueue(connection, letter(company), SETTINGS)
        connection.rollback()

    assert stored(engine, company) == []


def test_the_same_body_and_file_are_stored_once(engine, company):
    other = letter(company, text="iný text", attachments=[LOGO])

    for draft in (letter(company, attachments=[LOGO]), letter(company, attachments=[LOGO]), other):
        put(engine, draft)

    bodies = [row.body_id for row in stored(engine, company)]
    assert bodies[0] == bodies[1] != bodies[2]
    query = "SELECT DISTINCT attachment_id FROM body_attachment WHERE body_id = ANY (:ids)"
    assert len(rows(engine, query, ids=bodies)) == 1


def test_the_same_key_and_content_is_the_same_message(engine, company):
    first = put(engine, letter(company, idempotency_key="faktura-7"))

    second = put(engine, letter(company, idempotency_key="faktura-7"))

    assert (second.message_id, second.created) == (first.message_id, False)
    assert len(stored(engine, company)) == 1


def test_another_time_under_the_same_key_is_no_other_content(engine, company):
    later = datetime.now(UTC) + timedelta(hours=1)
    put(engine, letter(company, idempotency_key="faktura-7"))

    assert not put(engine, letter(company, idempotency_key="faktura-7", not_before=later)).created


def test_other_content_under_the_same_key_is_refused_and_names_the_first(engine, company):
    first = put(engine, letter(company, idempotency_key="faktura-7"))

    with pytest.raises(KeyConflict, match=f"in message {first.message_id}"):
        put(engine, letter(company, idempotency_key="faktura-7", subject="Faktúra 8"))


def test_two_companies_may_use_the_same_key(engine, company):
    with engine.begin() as connection:
        other = make_company(connection)

    made = [put(engine, letter(one, idempotency_key="1")).created for one in (company, other)]

    assert made == [True, True]


def test_two_enqueuers_at_once_with_the_same_key_make_one_message(engine, company):
    done = []
    with engine.connect() as connection:
        first = enqueue(connection, letter(company, idempotency_key="7"), SETTINGS)
        other = threading.Thread(
            target=lambda: done.append(put(engine, letter(company, idempotency_key="7")))
        )
        other.start()
        _wait_for_a_lock(engine)
        connection.commit()
        other.join(10)

    assert [(one.message_id, one.created) for one in done] == [(first.message_id, False)]
    assert len(stored(engine, company)) == 1


def test_one_who_waits_for_a_key_gets_it_if_the_other_rolls_back(engine, company):
    done = []
    with engine.connect() as connection:
        enqueue(connection, letter(company, idempotency_key="7"), SETTINGS)
        other = threading.Thread(
            target=lambda: done.append(put(engine, letter(company, idempotency_key="7")))
        )
        other.start()
        _wait_for_a_lock(engine)
        connection.rollback()
        other.join(10)

    assert [one.created for one in done] == [True]


def _wait_for_a_lock(engine):
    while not rows(
        engine,
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database()",
    ):
        pass


def test_an_e_mail_cannot_name_a_task_that_sends_sms(engine, company):
    with engine.begin() as connection:
        task = make_sms_task(connection, company)

    with pytest.raises(ContentError, match="sends SMS; name one that sends e-mails"):
        put(engine, letter(company, task_id=task.id))

    assert stored(engine, company) == []


def test_messages_for_the_same_tasks_share_a_lane(engine, company):
    with engine.begin() as connection:
        task = make_task(connection, company)
        shop = make_establishment(connection, company)

    for more in ({}, {}, {"establishment_id": shop}, {"task_id": task.id}, {"task_id": task.id}):
        put(engine, letter(company, **more))

    lanes = [row.lane_id for row in stored(engine, company)]
    assert lanes[0] == lanes[1]
    assert lanes[3] == lanes[4] == task.lane_id
    assert len(set(lanes)) == 3


@pytest.mark.parametrize(
    ("priority", "channel"),
    [
        pytest.param(Priority.TRANSACTIONAL, "kadencia_urgent", id="transactional"),
        pytest.param(Priority.BULK, "kadencia_ready", id="bulk"),
    ],
)
def test_beat_is_woken_for_the_lane_when_it_is_committed(
    engine, company, database_url, priority, channel
):
    listener = psycopg2.connect(database_url)
    listener.autocommit = True
    listener.cursor().execute("LISTEN kadencia_ready; LISTEN kadencia_urgent")

    put(engine, letter(company, priority=priority))

    listener.cursor().execute("SELECT 1")
    (notice,) = listener.notifies
    listener.close()
    (row,) = stored(engine, company)
    assert (notice.channel, notice.payload) == (channel, str(row.lane_id))


def test_templates_are_checked_with_the_fields_and_only_what_the_body_needs_is_kept(
    engine, company
):
    fields = {"meno": "Anna & syn", "cislo": 7, "navyse": "x"}

    put(engine, letter(company, subject="Doklad {{ cislo }}", text="Pre {{ meno }}", fields=fields))

    (row,) = stored(engine, company)
    (body,) = rows(engine, "SELECT * FROM body WHERE id = :id", id=row.body_id)
    assert (row.subject, row.fields) == ("Doklad 7", {"meno": "Anna & syn"})
    assert (body.text, body.template) == ("Pre {{ meno }}", True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"to": ["anna"]}, "'anna': has no @-sign", id="an address without @"),
        pytest.param({"to": []}, "has no recipient", id="no recipient"),
        pytest.param(
            {"to": ["a@a.example\r\nBcc: x@x.example"]}, "U+000D", id="a line break in an address"
        ),
        pytest.param({"subject": "A\nBcc: x@x.example"}, "Subject: has the", id="in the subject"),
        pytest.param(
            {"subject": "{{ a }}", "fields": {"a": "A\nBcc: x@x.example"}},
            "Subject: has the character U+000A",
            id="in a field of the subject",
        ),
        pytest.param({"headers": [("X-A", "b\r\nBcc: c")]}, "header X-A: has", id="in a header"),
        pytest.param(
            {"headers": [("Bcc", "x@x.example")]}, "may not be set", id="a header of ours"
        ),
        pytest.param({"reply_to": ["a@a.example\nX: y"]}, "U+000A", id="in the reply address"),
        pytest.param({"list_unsubscribe": ["ftp://a"]}, "no https: or mailto:", id="a wrong URI"),
        pytest.param({"text": None}, "has neither text nor HTML", id="no body"),
        pytest.param({"text": "a\0b"}, "text: has the character U+0000", id="NUL in the text"),
        pytest.param(
            {"html": "<img src=cid:logo>"}, "shows cid:logo, which no attachment", id="no such file"
        ),
        pytest.param(
            {"attachments": [LOGO, LOGO]}, "Content-ID of 2 attachments", id="a Content-ID twice"
        ),
        pytest.param(
            {"to": [f"a{n}@a.example" for n in range(101)]}, "has 101 recipients", id="too many"
        ),
        pytest.param({"text": "{{ a }}", "fields": {}}, "'a' is undefined", id="a missing field"),
        pytest.param(
            {"text": "{{ a }}", "fields": {"a": float("nan")}}, "field 'a'", id="what JSON lacks"
        ),
        pytest.param({"idempotency_key": " "}, "idempotency key: is blank", id="a blank key"),
        pytest.param({"idempotency_key": "k" * 201}, "longer than 200", id="an endless key"),
        pytest.param(
            {"task_id": 9999}, "automatic task 9999: does not exist", id="an unknown task"
        ),
        pytest.param({"establishment_id": 9999}, "establishment 9999: does", id="unknown place"),
        pytest.param({"company": 9999}, "company 9999: does not exist", id="an unknown company"),
        pytest.param(
            {"not_before": datetime(2026, 1, 1)},  # noqa: DTZ001  that is the fault
            "not before: has no time zone",
            id="a time without a zone",
        ),
        pytest.param(
            {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "is not after", id="expired already"
        ),
        pytest.param(
            {
                "not_before": datetime(2090, 1, 2, tzinfo=UTC),
                "expires_at": datetime(2090, 1, 1, tzinfo=UTC),
            },
            "is not after",
            id="expires before it may go",
        ),
    ],
)
def test_what_cannot_be_sent_is_refused_and_nothing_is_stored(engine, company, change, words):
    draft = letter(**{"company": company, **change})

    with pytest.raises(ContentError) as caught:
        put(engine, draft)

    assert words in str(caught.value)
    assert stored(engine, company) == []


def test_a_task_of_another_company_is_refused(engine, company):
    with engine.begin() as connection:
        task = make_task(connection)

    with pytest.raises(ContentError, match=f"does not exist in company {company}"):
        put(engine, letter(company, task_id=task.id))


def test_what_is_larger_than_the_limit_is_refused_with_both_sizes(engine, company):
    big = AttachmentPart("big.bin", "application/octet-stream", bytes(1_000_000))
    settings = load({"KADENCIA_MESSAGE_BYTES": "1200000"})

    with pytest.raises(TooLargeError, match=r"1\.4 MB .* 1\.2 MB that are allowed"):
        put(engine, letter(company, attachments=[big]), settings)


def test_a_suppressed_address_is_no_error_at_enqueue(engine, company):
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO suppression VALUES (:c, 'anna@a.example', 'odhlásená')"),
            {"c": company},
        )

    assert put(engine, letter(company)).created


def test_an_address_given_twice_is_written_to_once(engine, company):
    put(engine, letter(company, to=["a@a.example", "A <a@A.example>"], bcc=["a@a.example"]))

    (row,) = stored(engine, company)
    assert row.cost == 1
