"""SMS, from a caller's transaction or a file into the outbox."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from sqlalchemy import text

from models.states import Priority
from settings import load
from tests.support.rows import make_company, make_establishment, make_sms_task, make_task
from worker import db
from worker.core.content import ContentError
from worker.enqueueing import (
    NUMBER_COLUMNS,
    BadRows,
    KeyConflict,
    MailingFile,
    SmsDraft,
    Tally,
    enqueue_many,
    enqueue_sms,
)

SETTINGS = load({})
LONG = "Vážený zákazník, " + "á" * 100


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
        return make_company(connection)


@pytest.fixture
def file(tmp_path):
    def write(content, name="klienti.csv"):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return MailingFile(path, NUMBER_COLUMNS)

    return write


def note(company, **more):
    known = {"number": "0903 622 237", "text": "Dobrý deň"}
    return SmsDraft(company_id=company, **{**known, **more})


def put(engine, draft):
    with engine.begin() as connection:
        return enqueue_sms(connection, draft)


def task(engine, company, **columns):
    with engine.begin() as connection:
        return make_sms_task(connection, company, **columns).id


def run(engine, source, draft, **more):
    return enqueue_many(engine, source, draft, SETTINGS, **more)


def rows(engine, query, **values):
    with engine.connect() as connection:
        return connection.execute(text(query), values).all()


def stored(engine, company):
    query = """
        SELECT m.*, l.channel AS lane_channel, l.task_id AS lane_task, r.address, r.kind,
            r.domain AS recipient_domain, r.cost AS recipient_cost, r.state AS recipient_state,
            s.sender, s.text, s.encoding, s.segments, s.awaited
        FROM message m
        JOIN lane l ON l.id = m.lane_id
        JOIN recipient r ON r.message_id = m.id
        JOIN sms s ON s.message_id = m.id
        WHERE m.company_id = :c ORDER BY m.id
    """
    return rows(engine, query, c=company)


def test_an_sms_is_stored_ready_with_everything_that_its_attempts_need(engine, company):
    done = put(engine, note(company, sender="Firma", text=LONG, reference="doklad 7"))

    (row,) = stored(engine, company)
    assert done.created
    assert (row.id, row.state, row.priority) == (done.message_id, "ready", Priority.NORMAL)
    assert (row.channel, row.lane_channel) == ("sms", "sms")
    assert re.fullmatch("[0-9a-f]{32}", row.message_id)
    assert (row.subject, row.body_id, row.fields, row.domains) == (None, None, None, None)
    assert (row.domain, row.cost) == ("+421", 2)
    assert (row.address, row.kind, row.recipient_state) == ("+421903622237", "to", "pending")
    assert (row.recipient_domain, row.recipient_cost) == ("+421", 2)
    assert (row.sender, row.text) == ("Firma", LONG)
    assert (row.encoding, row.segments, row.awaited) == ("ucs2", 2, False)
    assert row.expires_at - row.not_before == timedelta(days=3)
    assert row.reference == "doklad 7"


def test_sms_share_no_lane_with_the_companys_e_mails(engine, company):
    with engine.begin() as connection:
        house = make_establishment(connection, company)
        make_task(connection, company)

    put(engine, note(company, establishment_id=house))
    put(engine, note(company, establishment_id=house))

    first, second = stored(engine, company)
    assert first.lane_id == second.lane_id
    assert first.lane_channel == "sms"


def test_a_number_without_a_calling_code_is_of_the_companys_country(engine):
    with engine.begin() as connection:
        czech = make_company(connection, country="CZ")

    put(engine, note(czech, number="601 123 456"))

    (row,) = stored(engine, czech)
    assert (row.address, row.domain) == ("+420601123456", "+420")


def test_a_template_is_filled_at_once_and_keeps_no_fields(engine, company):
    put(engine, note(company, text="Kod {{ kod }}", fields={"kod": "1{{2}}"}))

    (row,) = stored(engine, company)
    assert (row.text, row.fields) == ("Kod 1{{2}}", None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"number": "02/5555 1111"}, "is a landline", id="a landline"),
        pytest.param({"number": "anna@firma.example"}, "no phone number", id="an address"),
        pytest.param({"number": ""}, "no phone number", id="no number"),
        pytest.param({"text": " "}, "text: is blank", id="no text"),
        pytest.param({"text": "a" * 1531}, "takes 11 segments of at most 10", id="too long"),
        pytest.param({"sender": "Kvetinárstvo"}, "character 'á'", id="a sender with diacritics"),
        pytest.param({"text": "{{ x }}", "fields": {}}, "'x' is undefined", id="a field lacks"),
        pytest.param({"idempotency_key": " "}, "idempotency key: is blank", id="a blank key"),
        pytest.param({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "not after", id="expired"),
    ],
)
def test_what_no_sms_can_be_is_refused_and_nothing_is_stored(engine, company, change, words):
    with pytest.raises(ContentError, match=re.escape(words)):
        put(engine, note(company, **change))

    assert stored(engine, company) == []


def test_an_sms_cannot_name_a_task_that_sends_e_mails(engine, company):
    with engine.begin() as connection:
        other = make_task(connection, company).id

    with pytest.raises(ContentError, match="sends e-mails; name one that sends SMS"):
        put(engine, note(company, task_id=other))


def test_a_task_without_diacritics_gets_its_texts_transliterated(engine, company):
    task(engine, company, diacritics=False)

    put(engine, note(company, text=LONG))

    (row,) = stored(engine, company)
    assert row.text == "Vazeny zakaznik, " + "a" * 100
    assert (row.encoding, row.segments) == ("gsm", 1)


def test_what_cannot_be_transliterated_is_refused_for_a_task_without_diacritics(engine, company):
    task(engine, company, name="SMS", diacritics=False)

    with pytest.raises(ContentError, match="lacks, and automatic task 'SMS' allows"):
        put(engine, note(company, text="Ďakujeme 🙂"))

    assert stored(engine, company) == []


def test_a_task_without_long_texts_refuses_one_and_names_the_saving(engine, company):
    task(engine, company, long_texts=False)

    with pytest.raises(ContentError, match="no long texts; drop the diacritics: 2 → 1 segments"):
        put(engine, note(company, text=LONG))
    put(engine, note(company, text=LONG, transliterate=True))

    assert [row.segments for row in stored(engine, company)] == [1]


def test_the_rules_are_those_of_the_first_task_that_can_take_it(engine, company):
    task(engine, company, diacritics=False, active=False)
    task(engine, company, diacritics=True)
    named = task(engine, company, diacritics=False)

    put(engine, note(company, text="žltý"))
    put(engine, note(company, text="žltý", task_id=named))

    assert [row.text for row in stored(engine, company)] == ["žltý", "zlty"]


def test_the_same_content_under_a_key_stays_one_sms_whatever_the_tasks_rules(engine, company):
    first = put(engine, note(company, idempotency_key="k"))
    task(engine, company, diacritics=False)
    again = put(engine, note(company, number="+421 903 622 237", idempotency_key="k"))

    assert (again.message_id, again.created) == (first.message_id, False)
    assert len(stored(engine, company)) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"number": "0903622238"}, id="number"),
        pytest.param({"text": "iný text"}, id="text"),
        pytest.param({"sender": "Firma"}, id="sender"),
        pytest.param({"transliterate": True}, id="without its diacritics"),
    ],
)
def test_other_content_under_a_key_is_a_conflict(engine, company, change):
    first = put(engine, note(company, idempotency_key="k"))

    with pytest.raises(KeyConflict, match=f"in message {first.message_id}"):
        put(engine, note(company, idempotency_key="k", **change))


def test_two_enqueuers_at_once_with_the_same_key_make_one_sms(engine, company):
    done = []
    draft = note(company, idempotency_key="7")
    with engine.connect() as connection:
        first = enqueue_sms(connection, draft)
        other = threading.Thread(target=lambda: done.append(put(engine, draft)))
        other.start()
        waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while not rows(engine, f"{waiting} AND datname = current_database()"):
            pass
        connection.commit()
        other.join(10)

    assert [(one.message_id, one.created) for one in done] == [(first.message_id, False)]
    assert len(stored(engine, company)) == 1


def test_a_suppressed_number_is_no_error(engine, company):
    query = text("INSERT INTO suppression VALUES (:c, '+421903622237', 'STOP')")
    with engine.begin() as connection:
        connection.execute(query, {"c": company})

    assert put(engine, note(company)).created


def test_beat_is_woken_for_an_sms(engine, company, database_url):
    listener = psycopg2.connect(database_url)
    listener.autocommit = True
    listener.cursor().execute("LISTEN kadencia_urgent; LISTEN kadencia_ready")

    put(engine, note(company, priority=Priority.TRANSACTIONAL))
    listener.cursor().execute("SELECT 1")  # what was notified before comes with the answer

    (row,) = stored(engine, company)
    assert [(one.channel, one.payload) for one in listener.notifies] == [
        ("kadencia_urgent", str(row.lane_id))
    ]
    listener.close()


TWO = "number,name,kod\n0903622237,Anna,10\n+420601123456,Bob,20\n"


def test_an_sms_is_made_of_each_row_with_the_text_filled(engine, company, file):
    tally = run(engine, file(TWO), SmsDraft(company_id=company, text="{{ name }}: {{ kod }}"))

    assert tally == Tally(checked=2, enqueued=2)
    found = [(row.address, row.domain, row.text) for row in stored(engine, company)]
    assert found == [("+421903622237", "+421", "Anna: 10"), ("+420601123456", "+420", "Bob: 20")]


def test_a_row_may_bring_its_text_its_sender_and_its_key(engine, company, file):
    source = file("phone;text;sender;key\n0903622237;Kód {{ 7 }};Ruza;k1\n0903622238;Ahoj;;\n")

    run(engine, source, SmsDraft(company_id=company, sender="Firma", idempotency_key="m"))

    first, second = stored(engine, company)
    assert (first.text, first.sender, first.idempotency_key) == ("Kód {{ 7 }}", "Ruza", "m:k1")
    assert (second.text, second.sender) == ("Ahoj", "Firma")


def test_a_file_run_again_enqueues_only_what_is_missing(engine, company, file):
    draft = SmsDraft(company_id=company, text="Ahoj")
    run(engine, file(TWO), draft)

    tally = run(engine, file(f"{TWO}0903622239,Eva,30\n"), draft)

    assert (tally.enqueued, tally.earlier) == (1, 2)
    assert len(stored(engine, company)) == 3


BAD = """number,text
0903622237,dobrý
02/55551111,pevná
,nikto
0903622238,
0903622239,🙂
"""
ERRORS = [
    "line 3, column number: number '02/55551111' is a landline; give a mobile number",
    "line 4, column number: is blank or no text; give a number as a text, or leave out the row",
    "line 5, text: is blank; write one",
    "line 6, text: has '🙂', which GSM 03.38 lacks, and automatic task 'SMS' allows no other "
    "encoding; remove it, or allow diacritics in the task",
]


def test_a_file_with_bad_rows_is_refused_whole_with_line_and_column_of_each(engine, company, file):
    task(engine, company, name="SMS", diacritics=False)

    with pytest.raises(BadRows) as refused:
        run(engine, file(BAD), SmsDraft(company_id=company))

    assert list(refused.value.errors) == ERRORS
    assert stored(engine, company) == []


def test_bad_rows_can_be_left_out(engine, company, file):
    task(engine, company, name="SMS", diacritics=False)
    bad = []

    tally = run(engine, file(BAD), SmsDraft(company_id=company), reject=bad.append)

    assert (tally.enqueued, tally.rejected) == (1, 4)
    assert [str(one.error) for one in bad] == ERRORS
    assert [row.text for row in stored(engine, company)] == ["dobry"]


def test_json_lines_are_read_too(engine, company, file):
    source = file('{"number": "0903622237", "text": "Ahoj"}\n', "klienti.jsonl")

    run(engine, source, SmsDraft(company_id=company))

    assert [row.text for row in stored(engine, company)] == ["Ahoj"]


def test_a_file_without_numbers_or_texts_says_so(engine, company, file):
    with pytest.raises(ContentError, match="no column “number” or “phone”; it has email, text"):
        file("email,text\na@a.example,x\n")
    with pytest.raises(ContentError, match="text: is not given, and the file has no column of"):
        run(engine, file("number\n0903622237\n"), SmsDraft(company_id=company))
