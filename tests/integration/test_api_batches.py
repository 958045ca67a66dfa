"""Batches by HTTP: a result for each line, in little memory, and nothing lost that was answered."""

from __future__ import annotations

import json
import threading
from contextlib import closing

import pytest
from sqlalchemy import text

from tests.support.api import SlowBatch, running_office
from tests.support.process_table import wait_until
from worker import db

EMAIL = {"to": ["jana@zakaznik.example"], "subject": "Ponuka", "text": "Dobrý deň"}
SMS = {"number": "+421903622237", "text": "Akcia"}
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def office(services):
    with running_office(services) as office:
        yield office


@pytest.fixture
def eshop(office):
    return office.eshop


def kind(line):
    return line["error"]["type"].removeprefix("/problems/")


@pytest.mark.parametrize(
    ("path", "good"), [("/v1/emails/batch", EMAIL), ("/v1/sms/batch", SMS)], ids=["e-mails", "SMS"]
)
def test_a_bad_line_loses_no_good_one_and_each_has_its_result(eshop, office, path, good):
    bad = {"to": ["tajomna"]} if path == "/v1/emails/batch" else {"number": "tajomne"}
    lines = [good, good | bad, "{", "", good | {"reference": "posledna"}]

    answers = eshop.batch(path, lines)

    assert [one["line"] for one in answers] == [1, 2, 3, 5]
    assert [one.get("state") for one in answers] == ["ready", None, None, "ready"]
    assert [kind(one) for one in answers[1:3]] == ["invalid", "malformed"]
    assert "tajomn" not in json.dumps(answers)
    ids = [one["id"] for one in answers if "id" in one]
    assert office.count("id = ANY(:ids) AND state = 'ready'", ids=ids) == 2


def test_a_batch_that_is_handed_in_again_makes_no_second_message(eshop, office):
    lines = [EMAIL, EMAIL | {"idempotency_key": "vlastny"}, EMAIL | {"to": ["peter@x.example"]}]

    first = eshop.batch("/v1/emails/batch", lines, **{"Idempotency-Key": "davka"})
    with office.engine.begin() as connection:
        connection.execute(
            text("UPDATE message SET state = 'held' WHERE id = :id"), {"id": first[0]["id"]}
        )
    again = eshop.batch("/v1/emails/batch", lines, **{"Idempotency-Key": "davka"})

    assert [one["created"] for one in first + again] == [True] * 3 + [False] * 3
    assert [one["id"] for one in again] == [one["id"] for one in first]
    assert [one["state"] for one in again] == ["held", "ready", "ready"]
    assert office.count("idempotency_key IN ('davka:1', 'vlastny', 'davka:3')") == 3


def test_a_key_that_was_used_for_another_request_is_refused_in_its_line_alone(eshop):
    own = {"idempotency_key": "davkovy"}
    eshop.batch("/v1/emails/batch", [EMAIL | own])

    answers = eshop.batch(
        "/v1/emails/batch",
        [
            EMAIL | own | {"reference": "iná"},
            EMAIL | {"idempotency_key": "novy"},
            EMAIL | {"idempotency_key": "novy", "reference": "iná"},
            EMAIL | own,
        ],
    )

    assert [kind(one) if "error" in one else one["created"] for one in answers] == [
        "idempotency-conflict",
        True,
        "idempotency-conflict",
        False,
    ]


def test_two_batches_with_the_same_keys_in_opposite_orders_store_each_once(office):
    lines = [EMAIL | {"idempotency_key": f"krizom {n}"} for n in range(150)]
    answers = []

    def hand_in(given):
        answers.extend(office.eshop.batch("/v1/emails/batch", given))

    threads = [threading.Thread(target=hand_in, args=(g,)) for g in (lines, lines[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(one["created"] for one in answers) == [False] * 150 + [True] * 150
    assert office.count("starts_with(idempotency_key, 'krizom')") == 150


def test_lines_may_name_files_that_were_uploaded(eshop, office):
    digest = eshop.post("/v1/attachments", data=b"cennik" * 1000).json()["attachment"]
    files = {"attachments": [{"filename": "cennik.pdf", "attachment": digest}]}
    lost = {"attachments": [{"filename": "cennik.pdf", "attachment": "0" * 64}]}

    answers = eshop.batch("/v1/emails/batch", [EMAIL | files, EMAIL | lost, EMAIL | files])

    assert ["id" in one for one in answers] == [True, False, True]
    pointer = answers[1]["error"]["errors"][0]["pointer"]
    assert pointer == "/attachments/0/attachment"


def test_a_line_that_is_too_long_is_refused_and_the_next_is_taken(eshop):
    long = EMAIL | {"text": "x" * 34_000_000}

    answers = eshop.batch("/v1/emails/batch", [long, EMAIL])

    assert kind(answers[0]) == "too-large"
    assert answers[1]["state"] == "ready"


@pytest.fixture
def broken(office):
    """A database that refuses some messages for no reason that could have been foreseen."""
    function = """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'tajny dovod' USING ERRCODE = NEW.reference;
        END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON message FOR EACH ROW
            WHEN (NEW.reference IN ('40P01', '22000')) EXECUTE FUNCTION refuse();
    """
    with office.engine.begin() as connection:
        connection.execute(text(function))
    yield
    with office.engine.begin() as connection:
        connection.execute(text("DROP FUNCTION refuse CASCADE"))


@pytest.mark.parametrize("code", ["40P01", "22000"], ids=["a deadlock", "another fault"])
def test_a_line_that_the_database_refuses_loses_no_other(eshop, office, broken, code):
    lines = [EMAIL | {"reference": f"pri {code}"}] * 3
    lines[1] = EMAIL | {"reference": code}

    answers = eshop.batch("/v1/emails/batch", lines)

    assert [one.get("state") for one in answers] == ["ready", None, "ready"]
    assert kind(answers[1]) == "internal"
    assert "tajny" not in answers[1]["error"]["detail"]
    assert office.count("reference = :it", it=f"pri {code}") == 2


@pytest.mark.parametrize(("code", "status"), [("40P01", 503), ("22000", 500)])
def test_what_the_database_refuses_for_its_own_reasons_tells_nothing_of_it(
    eshop, broken, caplog, code, status
):
    answer = eshop.post("/v1/emails", json=EMAIL | {"reference": code})

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "tajny" not in answer.text + caplog.text
    assert "zakaznik.example" not in caplog.text


def test_another_content_type_is_refused_before_a_line_is_read(eshop):
    answer = eshop.post("/v1/emails/batch", data=b"{}", headers={"Content-Type": "text/csv"})

    assert answer.status_code == 415


def test_answers_come_while_the_batch_is_still_handed_in(eshop):
    slow = SlowBatch(eshop)
    with closing(slow):
        slow.send([EMAIL] * 200)
        first = slow.answers(200)
        slow.send([EMAIL] * 200)
        second = slow.answers(200)

    assert [one["line"] for one in first + second] == list(range(1, 401))


def test_a_client_that_breaks_off_loses_nothing_that_was_answered(eshop, office):
    slow = SlowBatch(eshop)
    with closing(slow):
        slow.send([EMAIL | {"reference": "prerusena"}] * 210)
        answered = slow.answers(200)

    ids = [one["id"] for one in answered]
    assert office.count("id = ANY(:ids)", ids=ids) == 200
    wait_until(lambda: eshop.get("/healthz").status_code == 200)
    assert office.count("reference = 'prerusena'") == 200


def test_who_reads_no_answer_before_the_end_is_not_waited_for_by_either_side(eshop, office):
    # 3,000 answers of 300 octets are more than all buffers between the two.
    lines = b"".join(b'{"to": ["x"], "subject": "a", "text": "b"}\n' for _ in range(3000))

    answer = eshop.post("/v1/emails/batch", data=lines, headers=NDJSON, stream=True)

    assert sum(1 for _ in answer.iter_lines()) == 3000


def test_where_the_database_goes_away_the_rest_is_to_be_handed_in_again(services):
    with running_office(services) as office:
        slow = SlowBatch(office.eshop)
        with closing(slow):
            slow.send([EMAIL] * 200)
            slow.answers(200)
            with away(services, office):
                slow.send([EMAIL] * 200)
                (last,) = slow.answers(1)
                single = office.eshop.post("/v1/emails", json=EMAIL)
                ready = office.stranger.get("/readyz")
                lives = office.stranger.get("/healthz")

    assert (last["line"], kind(last)) == (201, "unavailable")
    for answer in (single, ready):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert "Traceback" not in answer.text
    assert lives.status_code == 200


class away:
    """The database takes no connection, and has ended those that there were."""

    def __init__(self, services, office):
        self.name = office.engine.url.database
        self.admin = db.make_engine(services.postgres.url_of("postgres"), name="admin")

    def __enter__(self):
        self._allow("false")
        with self.admin.begin() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :it"),
                {"it": self.name},
            )

    def __exit__(self, *_):
        self._allow("true")
        self.admin.dispose()

    def _allow(self, whether):
        with self.admin.begin() as connection:
            connection.execute(text(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS {whether}"))
