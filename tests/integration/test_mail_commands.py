"""`kadencia mail`, as a person uses it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from models.states import MOVES, MessageState
from tests.support.permits import asking, open_throttle
from tests.support.rows import make_attempt, make_message, make_task
from worker import cli, db
from worker.cli import context


@pytest.fixture(scope="module")
def database_url(services):
    """One database for all of them: each test has a task and messages of its own."""
    url = services.fresh_database()
    yield url
    services.drop_database(url)


@pytest.fixture(scope="module")
def engine(database_url):
    engine = db.make_engine(database_url, name="tests", pool_size=5)
    yield engine
    engine.dispose()


@pytest.fixture
def kadencia(database_url, redis_url, tmp_path, monkeypatch, capfd):
    """Runs a command in this process; returns exit code, output and errors."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("KADENCIA_DATA", str(tmp_path))

    def run(*words):
        capfd.readouterr()
        code = cli.execute([str(word) for word in words])
        return code, *capfd.readouterr()

    context.settings.cache_clear()
    context.engine.cache_clear()
    yield run
    context.engine().dispose()
    context.engine.cache_clear()
    context.settings.cache_clear()


@pytest.fixture
def task(engine):
    with engine.begin() as connection:
        return make_task(connection)


@pytest.fixture
def company(engine, task):
    (row,) = rows(engine, "SELECT name FROM company WHERE id = :id", id=task.company_id)
    return row.name


def message(engine, task, **more):
    with engine.begin() as connection:
        return make_message(connection, task, **more).id


def rows(engine, query, **values):
    with engine.connect() as connection:
        return connection.execute(text(query), values).all()


def stored(engine, message_id):
    (row,) = rows(engine, "SELECT * FROM message WHERE id = :id", id=message_id)
    return row


def recipient_states(engine, message_id):
    query = "SELECT state FROM recipient WHERE message_id = :id ORDER BY position"
    return [row.state for row in rows(engine, query, id=message_id)]


def set_recipients(engine, message_id, *states):
    with engine.begin() as connection:
        for position, state in enumerate(states):
            connection.execute(
                text("UPDATE recipient SET state = :s WHERE message_id = :id AND position = :p"),
                {"s": state, "id": message_id, "p": position},
            )


PEOPLE = ["a@a.example", "b@b.example", "c@a.example"]


@pytest.mark.parametrize(
    ("words", "allowed", "becomes"),
    [
        pytest.param(["hold"], {"ready", "released"}, "held", id="hold"),
        pytest.param(["release"], {"held"}, "ready", id="release"),
        pytest.param(
            ["cancel"], {"ready", "released", "held", "unknown"}, "cancelled", id="cancel"
        ),
        pytest.param(
            ["resend", "--all"],
            {"sent", "delivered", "failed", "undelivered", "suppressed", "expired", "cancelled"},
            "ready",
            id="resend",
        ),
        pytest.param(["resolve", "--sent"], {"unknown"}, "sent", id="resolve as sent"),
        pytest.param(["resolve", "--resend"], {"unknown"}, "ready", id="resolve by resending"),
    ],
)
def test_a_move_is_made_from_the_states_that_allow_it_and_refused_from_the_others(
    engine, task, kadencia, words, allowed, becomes
):
    ids = {state: message(engine, task, state=state) for state in MessageState}

    code, _, errors = kadencia("mail", *words, *ids.values())

    after = {state: stored(engine, one).state for state, one in ids.items()}
    assert code == 1
    assert after == {state: becomes if state in allowed else state for state in MessageState}
    assert errors.count("\n") == len(MessageState) - len(allowed)
    assert all(becomes in MOVES[MessageState(state)] for state in allowed)


def test_a_message_that_is_being_sent_cannot_be_held_and_is_told_so(engine, task, kadencia):
    one = message(engine, task, state="sending")

    code, _, errors = kadencia("mail", "hold", one)

    assert code == 1
    assert (
        f"message {one} is sending (Odosiela sa) and can't be held; wait for the answer" in errors
    )


def test_a_released_message_that_is_held_loses_its_lease(engine, task, kadencia):
    one = message(engine, task, state="released", recipients=PEOPLE)

    code, said, _ = kadencia("mail", "hold", one)

    row = stored(engine, one)
    assert (code, row.lease, row.deadline) == (0, None, None)
    assert (row.cost, row.domains) == (3, {"a.example": 2, "b.example": 1})
    assert f"message {one}: released → held (Neodosielať)" in said


def test_a_resend_reaches_only_those_who_do_not_have_it(engine, task, kadencia):
    one = message(engine, task, state="failed", recipients=PEOPLE, attempts=50)
    set_recipients(engine, one, "sent", "failed", "undelivered")
    before = stored(engine, one)

    kadencia("mail", "resend", one)

    row = stored(engine, one)
    assert recipient_states(engine, one) == ["sent", "pending", "pending"]
    assert (row.state, row.attempts, row.cost, row.domain) == ("ready", 0, 2, "b.example")
    assert row.domains == {"b.example": 1, "a.example": 1}
    assert (row.message_id, row.settled_at) == (before.message_id, None)


def test_a_resend_to_all_reaches_everybody(engine, task, kadencia):
    one = message(engine, task, state="sent", recipients=PEOPLE)

    refused, _, errors = kadencia("mail", "resend", one)
    done, _, _ = kadencia("mail", "resend", one, "--all")

    assert (refused, done) == (1, 0)
    assert "has reached all its recipients; --all sends it to them once more" in errors
    assert recipient_states(engine, one) == ["pending"] * 3


def test_an_expired_message_that_is_resent_has_time_again(engine, task, kadencia):
    past = datetime.now(UTC) - timedelta(days=1)
    one = message(engine, task, state="expired", expires_at=past)

    kadencia("mail", "resend", one)

    assert stored(engine, one).expires_at > datetime.now(UTC) + timedelta(days=2)


def test_a_message_whose_body_is_gone_cannot_be_resent(engine, task, kadencia):
    one = message(engine, task, state="failed", body_id=None)

    code, _, errors = kadencia("mail", "resend", one)

    assert code == 1
    assert "retention has dropped its body" in errors


def test_an_unknown_that_is_resolved_as_sent_still_sends_to_those_who_wait(engine, task, kadencia):
    one = message(engine, task, state="unknown", recipients=PEOPLE)
    set_recipients(engine, one, "unknown", "pending", "sent")

    kadencia("mail", "resolve", one, "--sent")

    row = stored(engine, one)
    assert recipient_states(engine, one) == ["sent", "pending", "sent"]
    assert (row.state, row.cost, row.domain) == ("ready", 1, "b.example")


def test_resolving_wants_one_answer(kadencia):
    assert [
        kadencia("mail", "resolve", 1, *words)[0] for words in ([], ["--sent", "--resend"])
    ] == [
        2,
        2,
    ]


def test_a_move_is_written_to_the_audit_log_with_who_made_it(engine, task, kadencia):
    one = message(engine, task)

    kadencia("mail", "hold", one)

    (entry,) = rows(engine, "SELECT * FROM audit_log WHERE subject = :s", s=f"message:{one}")
    assert (entry.who, entry.action) == (context.operator(), "hold")
    assert (entry.before, entry.after) == ({"state": "ready"}, {"state": "held"})


def test_what_is_not_there_is_told_and_the_others_are_moved(engine, task, kadencia):
    one = message(engine, task)

    code, _, errors = kadencia("mail", "hold", 999_999, one)

    assert (code, stored(engine, one).state) == (1, "held")
    assert "message 999999 does not exist" in errors


def test_a_listing_is_narrowed_and_paged(engine, task, company, kadencia):
    ids = [message(engine, task, recipients=[f"p{n}@a.example"]) for n in range(3)]
    held = message(engine, task, state="held", recipients=PEOPLE)

    def listed(*words):
        _, output, _ = kadencia("mail", "list", "--company", company, "--json", *words)
        return [row["id"] for row in json.loads(output)]

    assert listed() == [held, *reversed(ids)]
    assert listed("--limit", 2) == [held, ids[2]]
    assert listed("--limit", 2, "--before", ids[2]) == [ids[1], ids[0]]
    assert listed("--state", "held") == [held]
    assert listed("--recipient", "p1@A.example") == [ids[1]]
    assert listed("--since", "2090-01-01") == []
    (name,) = rows(engine, "SELECT name FROM automatic_task WHERE id = :id", id=task.id)
    assert len(listed("--task", name.name)) == 4


def test_a_listing_names_states_in_slovak_too_and_says_that_there_is_more(
    engine, task, company, kadencia
):
    for _ in range(2):
        message(engine, task, recipients=PEOPLE)

    _, output, errors = kadencia("mail", "list", "--company", company, "--limit", 1)

    assert "Pripravená na odoslanie" in output
    assert "a@a.example and 2 more" in output
    assert "--before" in errors


def test_show_has_the_whole_evidence(engine, task, kadencia):
    one = message(engine, task, state="failed", recipients=["a@a.example"])
    with engine.begin() as connection:
        make_attempt(
            connection,
            task,
            one,
            state="rejected",
            phase="rcpt",
            code=550,
            enhanced="5.1.1",
            text="no such user",
            worker="main host.example 12",
        )

    code, output, _ = kadencia("mail", "show", one)
    _, as_json, _ = kadencia("mail", "show", one, "--json")

    for words in (
        "failed (Odoslanie neúspešné)",
        "a@a.example",
        "main host.example 12",
        "rcpt",
        "550",
        "5.1.1",
        "no such user",
    ):
        assert words in output
    assert code == 0
    evidence = json.loads(as_json)
    assert evidence["attempts"][0]["text"] == "no such user"
    assert evidence["not_gone_because"] == []


def test_show_says_why_a_message_has_not_gone_yet(engine, task, kadencia):
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE automatic_task SET active = false WHERE id = :id"), {"id": task.id}
        )
    message(engine, task, not_before=datetime.now(UTC) - timedelta(hours=1))
    one = message(engine, task)

    _, output, _ = kadencia("mail", "show", one)

    for words in ("it is paused", "main is silent", "1 message(s) go before it", "rebuilt"):
        assert words in output


def test_show_says_which_budgets_are_full_and_from_when_there_is_room(
    engine, task, kadencia, redis_url
):
    (whole,) = rows(engine, "SELECT generation FROM installation")
    throttle = open_throttle(redis_url, generation=whole.generation)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE automatic_task SET cadence = 100 WHERE id = :id"), {"id": task.id}
        )
        connection.execute(
            text("UPDATE account SET domain_hourly_limit = 100 WHERE id = :id"),
            {"id": task.account_id},
        )
    asked = {
        "task": task.id,
        "account": task.account_id,
        "domain_limit": 100,
        "domains": {"firma.example": 100},
        "generation": whole.generation,
    }
    one = message(engine, task)

    assert throttle.acquire(asking(**asked)) is None
    assert throttle.acquire(asking(**asked, limit=200)) is not None  # marks the domain as full
    _, output, _ = kadencia("mail", "show", one)

    assert "its cadence is used up, 100 of 100; there is room again from" in output
    assert "the hourly limit of firma.example is used up; there is room again from" in output


def test_show_says_so_when_redis_is_away(engine, task, kadencia, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    one = message(engine, task)

    code, output, _ = kadencia("mail", "show", one)

    assert code == 0
    assert "no permits can be given: Redis gave no answer" in output


def test_show_of_nothing_is_refused(kadencia):
    code, _, errors = kadencia("mail", "show", 999_999)

    assert code == 2
    assert "message 999999 does not exist" in errors


def test_one_message_is_enqueued_from_files_and_only_once(engine, company, kadencia, tmp_path):
    (tmp_path / "a.html").write_text('<img src="cid:logo">')
    (tmp_path / "logo.png").write_bytes(b"PNG")
    words = [
        *("mail", "enqueue", "--company", company, "--to", "Anna <anna@a.example>"),
        *("--subject", "Faktúra", "--html-file", tmp_path / "a.html", "--key", "f7", "--json"),
        *("--inline", f"{tmp_path / 'logo.png'}:logo", "--priority", "transactional"),
    ]

    first, again = (json.loads(kadencia(*words)[1]) for _ in range(2))

    assert first["created"]
    assert again == {"id": first["id"], "created": False}
    assert stored(engine, first["id"]).priority == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        pytest.param(["--header", "X-A: b\nBcc: c"], "header X-A: has the character", id="inject"),
        pytest.param(["--header", "X-A"], "has no colon", id="a header without colon"),
        pytest.param(["--attach", "/nothing.pdf"], "/nothing.pdf cannot be read", id="no file"),
        pytest.param(["--not-before", "zajtra"], "'zajtra' is no time", id="no time"),
        pytest.param(["--task", "nijaká"], "no automatic task 'nijaká'", id="no task"),
        pytest.param(["--field", "meno"], "write it as NAME=VALUE", id="a field without value"),
        pytest.param(["--text-file", "x"], "either --text or --text-file", id="two texts"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_told(company, kadencia, words, error):
    known = ["--company", company, "--to", "a@a.example", "--subject", "S", "--text", "t"]

    code, _, errors = kadencia("mail", "enqueue", *known, *words)

    assert code == 2
    assert error in errors


def test_a_file_too_large_for_any_message_is_not_even_read(
    company, kadencia, tmp_path, monkeypatch
):
    monkeypatch.setenv("KADENCIA_MESSAGE_BYTES", "100000")
    (tmp_path / "big.bin").write_bytes(bytes(200_000))
    words = ["--company", company, "--to", "a@a.example", "--subject", "S", "--text", "t"]

    code, _, errors = kadencia("mail", "enqueue", *words, "--attach", tmp_path / "big.bin")

    assert code == 2
    assert "has 0.2 MB, more than the 0.1 MB that a message may have" in errors


def test_bad_rows_of_a_file_are_told_and_by_choice_written_down(company, kadencia, tmp_path):
    path = tmp_path / "klienti.csv"
    path.write_text("email;name\nanna@a.example;Anna\nnie;Bob\n")
    words = ["mail", "enqueue-many", path, "--company", company, "--subject", "S", "--text", "t"]

    refused, _, errors = kadencia(*words)
    done, output, note = kadencia(*words, "--skip-bad")

    assert (refused, done) == (2, 1)
    assert "line 3, column email: 'nie' has no @-sign" in errors
    assert "nothing was enqueued" in errors
    assert "enqueued: 1" in output
    assert "klienti.csv.rejected.csv" in note
    _, bad = (tmp_path / "klienti.csv.rejected.csv").read_text().splitlines()
    assert bad.startswith("3,")
    assert bad.endswith(",nie,Bob")
