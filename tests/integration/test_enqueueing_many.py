"""A mailing, from a file into the outbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from sqlalchemy import text

from models.states import Priority
from settings import load
from tests.support.process_table import wait_until
from tests.support.rows import make_company
from worker import db
from worker.core.content import ContentError
from worker.enqueueing import BadRows, Draft, MailingFile, Tally, enqueue_many

SETTINGS = load({})


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


def name_of(engine, company):
    query = text("SELECT name FROM company WHERE id = :id")
    with engine.connect() as connection:
        return connection.execute(query, {"id": company}).scalar_one()


@pytest.fixture
def file(tmp_path):
    def write(content, name="klienti.csv"):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return MailingFile(path)

    return write


def mailing(company, **more):
    known = {"subject": "Pre {{ name }}", "text": "Dlh: {{ suma }}", "priority": Priority.BULK}
    return Draft(company_id=company, **{**known, **more})


def run(engine, source, draft, **more):
    return enqueue_many(engine, source, draft, SETTINGS, **more)


def messages(engine, company):
    with engine.connect() as connection:
        return connection.execute(
            text(
                "SELECT m.*, r.address, r.name FROM message m"
                " JOIN recipient r ON r.message_id = m.id WHERE company_id = :c ORDER BY m.id"
            ),
            {"c": company},
        ).all()


TWO = "email,name,suma\nanna@a.example,Anna,10\nbob@b.example,Bob,20\n"


def test_each_row_becomes_a_message_with_its_columns_filled_in(engine, company, file):
    tally = run(engine, file(TWO), mailing(company))

    first, second = messages(engine, company)
    assert tally == Tally(checked=2, enqueued=2)
    assert (first.address, first.name, first.subject) == ("anna@a.example", "Anna", "Pre Anna")
    assert (first.fields, first.domain, first.cost) == ({"suma": "10"}, "a.example", 1)
    assert first.body_id == second.body_id
    assert first.message_id != second.message_id
    assert first.priority == Priority.BULK


def test_running_it_again_enqueues_nothing(engine, company, file):
    source = file(TWO)
    run(engine, source, mailing(company))

    tally = run(engine, source, mailing(company))

    assert tally == Tally(checked=2, earlier=2)
    assert len(messages(engine, company)) == 2


def test_another_mailing_key_sends_it_once_more(engine, company, file):
    for key in ("jar", "jeseň"):
        run(engine, file(TWO), mailing(company, idempotency_key=key))

    assert len(messages(engine, company)) == 4


def test_rows_that_were_added_are_all_that_the_next_run_enqueues(engine, company, file):
    run(engine, file(TWO), mailing(company))

    tally = run(engine, file(TWO + "eva@e.example,Eva,30\n"), mailing(company))

    assert (tally.enqueued, tally.earlier) == (1, 2)


def test_rows_that_are_the_same_are_as_many_messages(engine, company, file):
    source = file(TWO + "anna@a.example,Anna,10\n" * 2)

    first, again = (run(engine, source, mailing(company)) for _ in range(2))

    assert (first.enqueued, again.earlier) == (4, 4)


def test_a_rows_own_key_lasts_when_other_columns_change_and_then_conflicts(engine, company, file):
    run(engine, file("email,name,suma,key\na@a.example,A,1,k1\n"), mailing(company))

    with pytest.raises(BadRows) as caught:
        run(engine, file("email,name,suma,key\na@a.example,A,2,k1\n"), mailing(company))

    (only,) = messages(engine, company)
    assert only.idempotency_key.endswith(":k1")
    assert f"line 2, column key: was used before for other content, in message {only.id}" in str(
        caught.value.errors
    )


def test_two_rows_with_the_same_key_are_refused(engine, company, file):
    source = file("email,name,suma,key\na@a.example,A,1,k\nb@b.example,B,1,k\n")

    with pytest.raises(BadRows) as caught:
        run(engine, source, mailing(company))

    assert caught.value.errors[0].startswith("line 3, column key: 'k' stands in an earlier row")


BAD = """email,name,suma
anna@a.example,Anna,10
nie-adresa,Bob,20
,Cyril,30
eva@e.example,Eva
d@d.example,"D
Bcc: x@x.example",50
"""
WORDS = [
    "line 3, column email: 'nie-adresa' has no @-sign; write it as name@domain",
    "line 4, column email: is blank or no text; give an address or leave out the row",
    "line 5, column suma: the row has 2 cells, the header 3",
    "line 6, column name: has the character U+000A at position 2; remove it",
]


def test_bad_rows_are_named_by_line_and_column_and_nothing_is_enqueued(engine, company, file):
    with pytest.raises(BadRows) as caught:
        run(engine, file(BAD), mailing(company))

    assert caught.value.count == 4
    for error, words in zip(caught.value.errors, WORDS, strict=True):
        assert error.startswith(words)
    assert messages(engine, company) == []


def test_bad_rows_are_left_out_by_choice(engine, company, file):
    rejected = []

    tally = run(engine, file(BAD), mailing(company), reject=rejected.append)

    assert (tally.enqueued, tally.rejected) == (1, 4)
    assert [row.line for row in rejected] == [3, 4, 5, 6]
    assert [row.address for row in messages(engine, company)] == ["anna@a.example"]


def test_a_row_that_breaks_the_template_is_named(engine, company, file):
    source = file("email,name,n\na@a.example,A,1\nb@b.example,B,x\n")

    with pytest.raises(BadRows) as caught:
        run(engine, source, mailing(company, text="{{ 10 / (n | int) }}"))

    assert caught.value.errors == (
        "line 3, text, line 1: fails with ZeroDivisionError; correct it or the fields",
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"subject": "{{ meno }}"}, "Subject: uses 'meno', but", id="no such column"),
        pytest.param({"text": "{{ name"}, "text, line 1: is no valid template", id="no template"),
        pytest.param({"html": '<a src="cid:x">'}, "shows cid:x", id="a missing inline file"),
        pytest.param({"text": None}, "has neither text nor HTML", id="no body"),
        pytest.param({"company_id": 9999}, "company 9999: does not exist", id="no such company"),
    ],
)
def test_a_mailing_that_cannot_be_sent_is_refused_before_its_first_row(
    engine, company, file, change, words
):
    draft = Draft(**{"company_id": company, "subject": "S", "text": "t", **change})

    with pytest.raises(ContentError) as caught:
        run(engine, file(TWO), draft)

    assert words in str(caught.value)
    assert messages(engine, company) == []


def test_json_lines_fill_lists_and_numbers(engine, company, file):
    source = file('{"email": "a@a.example", "name": "A", "l": [1, 2]}\n', "klienti.jsonl")

    run(engine, source, mailing(company, text="{% for n in l %}{{ n }}{% endfor %}"))

    (row,) = messages(engine, company)
    assert row.fields == {"l": [1, 2]}


def test_a_json_row_without_a_field_that_the_template_uses_is_named(engine, company, file):
    lines = '{"email":"a@a.example","name":"A","suma":1}\n{"email":"b@b.example","name":"B"}\n'

    with pytest.raises(BadRows) as caught:
        run(engine, file(lines, "klienti.jsonl"), mailing(company))

    assert caught.value.errors == ("line 2, column suma: has no value; give every row one",)


ROWS = 8_000


# Half-way it gets no further, so that the kill is never too late.
DAWDLE = f"""
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (SELECT count(*) FROM message) > {ROWS // 2} THEN PERFORM pg_sleep(60); END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER dawdle AFTER INSERT ON message EXECUTE FUNCTION dawdle();
"""
WAKE_UP = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'PgSleep'
"""


def test_a_command_killed_in_the_middle_and_run_again_enqueues_each_row_once(
    engine, company, tmp_path, database_url
):
    path = tmp_path / "klienti.csv"
    lines = [f"a{n}@d{n % 50}.example,N{n},{n}" for n in range(ROWS)]
    path.write_text("\n".join(["email,name,suma", *lines]))
    command = [
        *(sys.executable, "-c", "from worker.cli import main; main()", "mail", "enqueue-many"),
        *(str(path), "--subject", "Pre {{ name }}", "--text", "Dlh: {{ suma }}"),
        *("--company", name_of(engine, company)),
    ]
    environment = {**os.environ, "DATABASE_URL": database_url, "KADENCIA_DATA": str(tmp_path)}

    with engine.begin() as connection:
        connection.execute(text(DAWDLE))
    with subprocess.Popen(command, env=environment) as killed:
        wait_until(lambda: len(messages(engine, company)) > 0, 30)
        killed.send_signal(signal.SIGKILL)
    with engine.begin() as connection:
        connection.execute(text(WAKE_UP))
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER dawdle ON message"))
    before = len(messages(engine, company))
    subprocess.run(command, env=environment, check=True, capture_output=True)

    found = messages(engine, company)
    assert 0 < before < ROWS
    assert before % 1_000 == 0
    assert len(found) == len({row.address for row in found}) == ROWS
