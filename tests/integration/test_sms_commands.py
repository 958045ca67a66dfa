"""`kadencia sms`, as a person uses it."""

from __future__ import annotations

import csv
import json

import pytest
from sqlalchemy import text

from tests.support.command_line import CommandLine
from tests.support.rows import (
    make_attempt,
    make_message,
    make_segment,
    make_sms,
    make_sms_task,
    make_task,
)
from worker import db
from worker.core.sms_reports import Inbound
from worker.outbox import sms_reports

LONG = "Vážený zákazník, " + "á" * 100


@pytest.fixture(scope="module")
def database_url(services):
    """One database for all of them: each test has a task and a company of its own."""
    url = services.fresh_database()
    yield url
    services.drop_database(url)


@pytest.fixture(scope="module")
def engine(database_url):
    engine = db.make_engine(database_url, name="tests", pool_size=5)
    yield engine
    engine.dispose()


@pytest.fixture
def kadencia(database_url, redis_url, tmp_path):
    return CommandLine(tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url)


@pytest.fixture
def task(engine):
    with engine.begin() as connection:
        return make_sms_task(connection, name="Pripomienky", sender="Ruza")


@pytest.fixture
def company(engine, task):
    (row,) = rows(engine, "SELECT name FROM company WHERE id = :id", id=task.company_id)
    return row.name


def sms(engine, task, **more):
    with engine.begin() as connection:
        return make_sms(connection, task, **more).id


def rows(engine, query, **values):
    with engine.connect() as connection:
        return connection.execute(text(query), values).all()


def run(engine, query, **values):
    with engine.begin() as connection:
        connection.execute(text(query), values)


def saw_price(engine, task, operator, price):
    run(
        engine,
        "INSERT INTO eurosms_price VALUES (:account, '+421', :operator, :price)",
        account=task.account_id,
        operator=operator,
        price=price,
    )


def stored(engine, message_id):
    query = """
        SELECT m.state, m.priority, m.reference, s.text, s.sender, r.address FROM message m
        JOIN sms s ON s.message_id = m.id JOIN recipient r ON r.message_id = m.id WHERE m.id = :id
    """
    (row,) = rows(engine, query, id=message_id)
    return row


def test_an_sms_is_enqueued_and_what_it_takes_and_costs_is_told(engine, task, company, kadencia):
    saw_price(engine, task, "231.1", "0.031")
    saw_price(engine, task, "231.2", "0.029")

    ended = kadencia.done(
        *("sms", "enqueue", "--company", company, "--to", "0903 622 237", "--text", LONG),
        *("--reference", "doklad 7", "--priority", "transactional"),
    )

    (row,) = rows(engine, "SELECT max(id) AS id FROM message")
    found = stored(engine, row.id)
    assert ended.out == (f"message {row.id} is enqueued: 2 segments (ucs2), 0.058–0.062 EUR\n")
    assert "note: drop the diacritics: 2 → 1 segments; --transliterate" in ended.err
    assert (found.address, found.text, found.sender) == ("+421903622237", LONG, None)
    assert (found.reference, found.priority) == ("doklad 7", 0)


def test_an_sms_is_transliterated_on_demand_and_filled_from_fields(engine, company, kadencia):
    ended = kadencia.done(
        *("sms", "enqueue", "--company", company, "--to", "+421903622237", "--transliterate"),
        *("--text", "Dobrý deň, {{ meno }}", "--field", "meno=Žofia", "--sender", "Kytica"),
        "--json",
    )

    found = stored(engine, ended.json["id"])
    assert (found.text, found.sender) == ("Dobry den, Zofia", "Kytica")
    assert ended.json["created"]
    assert (ended.json["encoding"], ended.json["segments"]) == ("gsm", 1)
    assert (ended.json["units_left"], ended.json["price"]) == (144, None)


def test_where_no_price_is_known_it_is_said_how_to_set_one(company, kadencia):
    ended = kadencia.done(
        "sms", "enqueue", "--company", company, "--to", "0903622237", "--text", "Ahoj"
    )

    assert "1 segment (gsm), no price is known yet; set one with `kadencia eurosms" in ended.out


def test_the_line_end_of_a_files_last_line_is_no_part_of_an_sms(
    engine, company, kadencia, tmp_path
):
    (tmp_path / "text.txt").write_text("prvý\ndruhý\n", encoding="utf-8")

    ended = kadencia.done(
        *("sms", "enqueue", "--company", company, "--to", "0903622237", "--json"),
        *("--text-file", str(tmp_path / "text.txt")),
    )

    assert stored(engine, ended.json["id"]).text == "prvý\ndruhý"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        pytest.param(["--text", "x"], "missing: --to", id="no number"),
        pytest.param(["--to", "0903622237"], "missing: --text or --text-file", id="no text"),
        pytest.param(["--to", "02/55551111", "--text", "x"], "is a landline", id="a landline"),
        pytest.param(
            ["--to", "0903622237", "--text", "x", "--sender", "Žltý"], "'Zlty'", id="bad sender"
        ),
    ],
)
def test_what_cannot_be_enqueued_says_why(company, kadencia, words, error):
    ended = kadencia("sms", "enqueue", "--company", company, *words)

    assert ended.code == 2
    assert error in ended.err


def test_a_file_is_enqueued_and_bad_rows_are_written_down(
    engine, task, company, kadencia, tmp_path
):
    path = tmp_path / "klienti.csv"
    path.write_text("number,name\n0903622237,Anna\n02/55551111,Pevná\n", encoding="utf-8")
    words = ["sms", "enqueue-many", str(path), "--company", company, "--text", "Ahoj {{ name }}"]

    refused = kadencia(*words)
    ended = kadencia(*words, "--skip-bad", "--json")

    assert "line 3, column number: number '02/55551111' is a landline" in refused.err
    assert ended.code == 1
    assert ended.json == {"enqueued": 1, "earlier": 0, "rejected": 1}
    (row,) = rows(engine, "SELECT id FROM message WHERE company_id = :c", c=task.company_id)
    assert stored(engine, row.id).text == "Ahoj Anna"
    assert stored(engine, row.id).priority == 2
    with (tmp_path / "klienti.csv.rejected.csv").open(encoding="utf-8") as opened:
        assert next(r for r in csv.reader(opened) if r[0] == "3")[2:] == ["02/55551111", "Pevná"]


def test_prices_are_told_for_numbers_and_nothing_is_enqueued(engine, task, company, kadencia):
    saw_price(engine, task, "231.1", "0.03")
    run(engine, "UPDATE eurosms_account SET price = 0.05 WHERE account_id = :a", a=task.account_id)
    words = ["sms", "price", "--company", company, "--text", LONG]
    words += ["--to", "0903622237", "--to", "+420601123456"]

    shown = kadencia.done(*words)
    ours, czech = kadencia.done(*words, "--json").json

    assert "--transliterate" in shown.err
    assert (ours["number"], ours["encoding"], ours["segments"]) == ("+421903622237", "ucs2", 2)
    assert (ours["units_left"], ours["segments_without_diacritics"]) == (17, 1)
    assert ours["price"] == {"least": "0.06", "most": "0.06"}
    assert czech["price"] == {"least": "0.10", "most": "0.10"}
    assert rows(engine, "SELECT FROM message WHERE company_id = :c", c=task.company_id) == []
    assert len(rows(engine, "SELECT FROM lane WHERE company_id = :c", c=task.company_id)) == 1


def test_the_price_of_a_file_is_told_by_country(engine, task, company, kadencia, tmp_path):
    saw_price(engine, task, "231.1", "0.03")
    saw_price(engine, task, "231.2", "0.04")
    path = tmp_path / "klienti.csv"
    texts = {"0903622237": LONG, "0903622238": "Ahoj", "+420601123456": "Ahoj", "x": "y"}
    lines = ["number;text", *(f"{number};{words}" for number, words in texts.items())]
    path.write_text("\n".join(lines), encoding="utf-8")

    ended = kadencia("sms", "price", str(path), "--company", company, "--json")

    assert ended.code == 1
    assert ended.json == [
        {
            "calling_code": "+420",
            "sms": 1,
            "segments": 1,
            "segments_without_diacritics": 1,
            "price": None,
        },
        {
            "calling_code": "+421",
            "sms": 2,
            "segments": 3,
            "segments_without_diacritics": 2,
            "price": {"least": "0.09", "most": "0.12"},
        },
    ]
    assert "line 5, column number: number 'x' is no phone number" in ended.err


def test_a_task_without_long_texts_refuses_a_price_as_it_refuses_the_sms(engine, kadencia, task):
    run(engine, "UPDATE sms_task SET long_texts = false WHERE task_id = :t", t=task.id)
    (owner,) = rows(engine, "SELECT name FROM company WHERE id = :id", id=task.company_id)

    words = ["--company", owner.name, "--text", LONG, "--to", "0903622237"]
    ended = kadencia("sms", "price", *words)

    assert "automatic task 'Pripomienky' allows no long texts; drop the diacritics" in ended.err


def test_sms_and_e_mails_are_listed_apart(engine, task, company, kadencia):
    with engine.begin() as connection:
        other = make_task(connection, task.company_id)
        mail = make_message(connection, other).id
    made = sms(engine, task)

    def listed(kind):
        lines = kadencia.done(kind, "list", "--company", company, "--json").json
        return [line["id"] for line in lines]

    assert (listed("mail"), listed("sms")) == ([mail], [made])


def test_an_sms_is_listed_with_oberons_state_beside_the_exact_one(engine, task, company, kadencia):
    made = sms(engine, task, state="unknown", sms={"operator": "231.1"})

    (line,) = kadencia.done("sms", "list", "--company", company, "--json").json
    shown = kadencia.done("sms", "list", "--company", company).out

    assert (line["id"], line["state"], line["stav"]) == (made, "unknown", "Neistá")
    assert line["oberon_state"] == "Neodosielať"
    assert (line["number"], line["text"]) == ("+421903622237", "Vaša zásielka je pripravená.")
    assert (line["sender"], line["segments"], line["operator"]) == ("Ruza", 1, "231.1")
    for word in ("Neistá", "Neodosielať", "+421903622237", "Vaša zásielka je pripravená."):
        assert word in shown


def test_an_sms_that_was_never_confirmed_says_so(engine, task, company, kadencia):
    sms(engine, task, state="sent", sms={"unconfirmed_at": "2026-01-08T10:00Z", "awaited": False})

    assert "not confirmed" in kadencia.done("sms", "list", "--company", company).out


def test_a_listing_is_narrowed_and_paged(engine, task, company, kadencia):
    first = sms(engine, task, number="+420601123456", reference="a")
    second = sms(engine, task, state="delivered")
    third = sms(engine, task)

    def listed(*words):
        lines = kadencia.done("sms", "list", "--company", company, "--json", *words).json
        return [line["id"] for line in lines]

    assert listed("--number", "+420 601 123 456") == [first]
    assert listed("--number", "0903 622 237") == [third, second]
    assert listed("--state", "delivered") == [second]
    assert listed("--reference", "a") == [first]
    assert listed("--task", "Pripomienky") == [third, second, first]
    assert listed("--limit", "2") == [third, second]
    assert listed("--before", str(second)) == [first]
    ended = kadencia.done("sms", "list", "--company", company, "--limit", "1")
    assert f"--before {third}" in ended.err


def delivered(engine, task):
    """An SMS with an attempt, its segments, and a report on each."""
    with engine.begin() as connection:
        made = make_sms(connection, task, text=LONG, state="delivered").id
        attempt = make_attempt(
            connection, task, made, state="accepted", domains={"+421": 2}, price="0.062"
        )
        for number in (1, 2):
            uuid = make_segment(
                connection, made, number, attempt_id=attempt, status="DELIVRD", price="0.031"
            )
            connection.execute(
                text("""
                    INSERT INTO delivery_report (account_id, source, uuid, segment, status, digest,
                        message_id)
                    VALUES (:account, 'push', :uuid, :n, 'DELIVRD', decode(md5(:uuid), 'hex'), :id)
                """),
                {"account": task.account_id, "uuid": uuid, "n": number, "id": made},
            )
    return made


def test_an_sms_is_shown_with_its_whole_evidence(engine, task, kadencia):
    made = delivered(engine, task)

    found = kadencia.done("sms", "show", str(made), "--json").json
    shown = kadencia.done("sms", "show", str(made)).out

    message = found["message"]
    assert (message["id"], message["stav"], message["oberon_state"]) == (
        made,
        "Doručené",
        "Doručené",
    )
    assert (message["text"], message["sender"], message["segments"]) == (LONG, "Ruza", 2)
    assert (message["number"], message["taken_by_task"]) == ("+421903622237", "Pripomienky")
    assert [one["number"] for one in found["segments"]] == [1, 2]
    assert {one["price"] for one in found["segments"]} == {"0.031"}
    reports = found["delivery_reports"]
    assert [one["uuid"] for one in reports] == [one["uuid"] for one in found["segments"]]
    (attempt,) = found["attempts"]
    assert (attempt["segments"], attempt["price"]) == (2, "0.062")
    assert found["not_gone_because"] == []
    for word in (found["segments"][1]["uuid"], "delivered (Doručené)", LONG, "push"):
        assert word in shown


def test_why_an_sms_has_not_gone_is_told_in_its_own_words(engine, task, kadencia):
    run(
        engine,
        "UPDATE sms_task SET exhausted_until = now() + interval '1 hour' WHERE task_id = :t",
        t=task.id,
    )
    run(engine, "UPDATE automatic_task SET cadence = 10, reserve = 9 WHERE id = :t", t=task.id)
    waiting, held = sms(engine, task, text=LONG), sms(engine, task, state="held")

    reasons = kadencia.done("sms", "show", str(waiting), "--json").json["not_gone_because"]
    shown = kadencia.done("sms", "show", str(held)).out

    said = "\n".join(reasons)
    assert "its budget in EUR is used up until" in said
    assert "it has 2 segments, and 1 may go in an hour: it can never go" in said
    assert "held; `kadencia sms release` lets it go" in shown


def test_the_safety_mode_never_redirects_an_sms(engine, task, kadencia):
    waiting = sms(engine, task)
    run(engine, "UPDATE installation SET redirect_to = 'test@firma.example'")

    reasons = kadencia.done("sms", "show", str(waiting), "--json").json["not_gone_because"]

    run(engine, "UPDATE installation SET redirect_to = NULL")
    assert "the safety mode does not let +421903622237 through; it will be held" in reasons


@pytest.mark.parametrize(
    ("verb", "state", "more", "after"),
    [
        pytest.param("hold", "ready", [], "held", id="hold"),
        pytest.param("release", "held", [], "ready", id="release"),
        pytest.param("cancel", "ready", [], "cancelled", id="cancel"),
        pytest.param("resend", "delivered", ["--all"], "ready", id="resend"),
        pytest.param("resolve", "unknown", ["--sent"], "sent", id="resolve as sent"),
        pytest.param("resolve", "unknown", ["--resend"], "ready", id="resolve by resending"),
    ],
)
def test_sms_are_moved_by_hand(engine, task, kadencia, verb, state, more, after):
    made = sms(engine, task, state=state)

    ended = kadencia.done("sms", verb, str(made), *more)

    assert f"message {made}: {state} → {after}" in ended.out
    assert stored(engine, made).state == after


def test_a_command_for_the_other_channel_names_the_right_one_and_changes_nothing(
    engine, task, kadencia
):
    with engine.begin() as connection:
        mail = make_message(connection, make_task(connection)).id
    made = sms(engine, task)

    for kind, verb, one, right in (
        ("mail", "show", made, f"message {made} is an SMS; `kadencia sms show` is for it"),
        ("mail", "hold", made, f"message {made} is an SMS; `kadencia sms hold` is for it"),
        ("sms", "show", mail, f"message {mail} is an e-mail; `kadencia mail show` is for it"),
        ("sms", "cancel", mail, f"message {mail} is an e-mail; `kadencia mail cancel` is for it"),
    ):
        ended = kadencia(kind, verb, str(one))
        assert ended.code != 0
        assert right in ended.err
    states = rows(engine, "SELECT state FROM message WHERE id IN (:a, :b)", a=mail, b=made)
    assert {row.state for row in states} == {"ready"}


def test_numbers_are_suppressed_as_people_write_them(engine, task, company, kadencia, tmp_path):
    path = tmp_path / "stop.txt"
    path.write_text("# STOP\n+420 601 123 456\nAnna@Firma.example\n", encoding="utf-8")
    of = ["--company", company]

    kadencia.done("suppression", "add", "0903 622 237", *of)
    kadencia.done("suppression", "add", "--file", str(path), *of)

    listed = json.loads(kadencia.done("suppression", "list", "--json", *of).out)
    keys = ["+420601123456", "+421903622237", "anna@firma.example"]
    assert sorted(row["address"] for row in listed) == keys
    kadencia.done("suppression", "remove", "+421 903 622 237", *of)
    assert len(kadencia.done("suppression", "list", "--json", *of).json) == 2
    assert "is a landline" in kadencia("suppression", "add", "02/55551111", *of).err


def test_sms_that_came_in_are_shown_newest_first(kadencia, engine, task, company):
    with engine.begin() as connection:
        for number, words in ((1, "Ďakujem"), (2, "Stop")):
            one = Inbound(f"u{number}", "421903000000", None, f"+42191100000{number}", words)
            sms_reports.inbound(connection, task.account_id, one)

    inbox = ("sms", "inbox", "--company", company)
    (newest,) = kadencia.done(*inbox, "--limit", "1", "--json").json

    assert (newest["sender"], newest["text"], newest["stop"]) == ("+421911000002", "Stop", True)
    assert "Ďakujem" in kadencia.done(*inbox).out
