"""Enqueueing by SQL: in the caller's own transaction, by a role that may do nothing else."""

from __future__ import annotations

import itertools
import uuid
from contextlib import closing

import psycopg2
import pytest
from psycopg2 import errors
from sqlalchemy import make_url, text

from settings import load
from tests.support.rows import make_company, make_establishment, make_task
from tests.support.shared_database import shared_engine
from worker import db, intake
from worker.enqueueing import Draft, enqueue
from worker.intake import people, rows
from worker.registers import RegisterError, sql_roles
from worker.registers.naming import find_company

ENQUEUE = "SELECT kadencia.enqueue_email(%(to_addresses)s, %(subject)s, 'Dobrý deň'{more})"
TABLE = ("SELECT * FROM {}", "INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}", "TRUNCATE {}")
SEQUENCE = ("SELECT * FROM {}", "SELECT nextval('{}')")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def engine(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture(scope="module")
def firm(engine):
    """A company with an establishment and an automatic task."""
    with engine.begin() as connection:
        company = make_company(connection, name="Kvetinárstvo Ruža")
        make_establishment(connection, company, name="Stánok")
        make_task(connection, company, name="Faktúry")
        return company


class Service:
    """Another application, logged in as a role of its own."""

    def __init__(self, url, name, password):
        found = make_url(url)
        self.name = name
        self.dsn = {"host": found.host, "port": found.port, "dbname": found.database}
        self.dsn |= {"user": name, "password": password}

    def connect(self):
        return closing(psycopg2.connect(**self.dsn))

    def ask(self, statement, values=None):
        """Run one statement in a transaction of its own; returns its first column."""
        with self.connect() as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchone()

    def enqueue(self, **given):
        values = {"to_addresses": ["jana@zakaznik.example"], "subject": "Faktúra", **given}
        more = "".join(f", {n} => %({n})s" for n in given if n not in ("to_addresses", "subject"))
        return self.ask(ENQUEUE.format(more=more), values)[0]

    def state(self, number):
        return self.ask("SELECT state, why, message_id FROM kadencia.message_state(%s)", [number])


def let_in(engine, company_name, name=None):
    name = name or f"eshop_{next(_numbers)}"
    with db.transaction(engine, who="tests") as connection:
        company = find_company(connection, company_name)
        password = sql_roles.allow(connection, company, name, rotate=False)
    return Service(engine.url.render_as_string(hide_password=False), name, password)


@pytest.fixture(scope="module")
def eshop(engine, firm):
    return let_in(engine, "Kvetinárstvo Ruža")


def take_in(engine):
    return intake.take_in(engine, load({}))


def messages(engine, subject):
    with engine.connect() as connection:
        query = text("SELECT count(*) FROM message WHERE subject = :subject")
        return connection.execute(query, {"subject": subject}).scalar_one()


def test_a_message_exists_if_and_only_if_the_callers_transaction_commits(engine, eshop):
    with eshop.connect() as connection, connection.cursor() as cursor:
        cursor.execute(ENQUEUE.format(more=""), {"to_addresses": ["a@b.example"], "subject": "Nie"})
        connection.rollback()
        cursor.execute(ENQUEUE.format(more=""), {"to_addresses": ["a@b.example"], "subject": "Áno"})
        take_in(engine)
        assert messages(engine, "Áno") == 0
        connection.commit()

    take_in(engine)

    assert (messages(engine, "Nie"), messages(engine, "Áno")) == (0, 1)


def test_a_caller_sees_what_became_of_a_message(engine, eshop):
    number = eshop.enqueue(task="Faktúry", establishment="Stánok", priority="transactional")
    assert eshop.state(number) == ("waiting", None, None)

    take_in(engine)

    state, why, message_id = eshop.state(number)
    assert (state, why) == ("ready", None)
    with engine.connect() as connection:
        found = connection.execute(
            text("""SELECT m.priority, e.name AS place, t.name AS task, i.document
                FROM message m JOIN lane l ON l.id = m.lane_id JOIN intake i ON i.message_id = m.id
                JOIN establishment e ON e.id = l.establishment_id
                JOIN automatic_task t ON t.id = l.task_id WHERE m.id = :id"""),
            {"id": message_id},
        ).one()
    assert found == (0, "Stánok", "Faktúry", None)


def test_an_sms_is_enqueued_as_well(engine, eshop):
    number = eshop.ask("SELECT kadencia.enqueue_sms('0903 622 237', 'Ahoj', sender => 'Ruza')")[0]

    take_in(engine)

    assert eshop.state(number)[0] == "ready"


def test_a_repeat_under_its_key_is_the_same_and_other_content_is_refused(engine, eshop):
    key = str(uuid.uuid4())
    first = eshop.enqueue(idempotency_key=key)
    again = eshop.enqueue(idempotency_key=key, priority="bulk", reference="7")
    take_in(engine)
    after = eshop.enqueue(idempotency_key=key)

    assert first == again == after
    with pytest.raises(errors.UniqueViolation, match="was used before for other content"):
        eshop.enqueue(idempotency_key=key, subject="Iné")


def test_a_key_that_was_used_elsewhere_for_other_content_is_seen_when_it_is_taken_in(engine, eshop):
    with engine.begin() as connection:
        company = find_company(connection, "Kvetinárstvo Ruža").id
        draft = Draft(
            company_id=company, subject="A", text="B", to=["a@b.example"], idempotency_key="k"
        )
        enqueue(connection, draft, load({}))

    number = eshop.enqueue(idempotency_key="k")
    take_in(engine)

    state, why, message_id = eshop.state(number)
    assert (state, message_id) == ("rejected", None)
    assert "was used before for other content" in why


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"to_addresses": []}, "there is no recipient", id="no recipient"),
        pytest.param({"to_addresses": ["jana"]}, "'jana': is no e-mail address", id="no address"),
        pytest.param({"to_addresses": [None]}, "NULL: is no e-mail", id="an address that is NULL"),
        pytest.param({"to_addresses": ["a@b.sk"] * 101}, "101 recipients", id="too many"),
        pytest.param({"subject": "a\nBcc: x@y.sk"}, "control character", id="an injected header"),
        pytest.param({"subject": None}, "subject: is missing", id="no subject"),
        pytest.param({"company": "Iná"}, "'Iná': does not exist, or", id="another company"),
        pytest.param({"task": "Nič"}, "no such automatic task", id="another task"),
        pytest.param({"establishment": "Nič"}, "no such establishment", id="another establishment"),
        pytest.param({"priority": "urgent"}, "priority: 'urgent' is none", id="no priority"),
        pytest.param({"expires_at": "2020-01-01"}, "is not after", id="expired already"),
        pytest.param({"not_before": "infinity"}, "no time that can come", id="never"),
        pytest.param({"idempotency_key": " "}, "is blank or longer", id="a blank key"),
        pytest.param({"reference": "x" * 201}, "is blank or longer", id="a long reference"),
        pytest.param({"headers": "[]"}, "headers and fields are objects", id="headers as an array"),
        pytest.param({"body_html": "x" * 40_000_000}, "larger than 40 MB", id="too large"),
    ],
)
def test_what_sql_can_check_is_refused_at_once(eshop, given, words):
    with pytest.raises(psycopg2.Error, match=words):
        eshop.enqueue(**given)


def test_a_bad_document_is_rejected_with_its_reason_and_blocks_no_other(engine, eshop):
    before = eshop.enqueue(subject="Predtým", priority="bulk")
    bad = eshop.enqueue(to_addresses=["jana@.example"], priority="transactional")
    odd = eshop.enqueue(subject="Zlé", attachments='[{"filename": "a.pdf", "content": "?"}]')
    after = eshop.enqueue(subject="Potom", priority="bulk")

    assert take_in(engine) is False

    assert [eshop.state(one)[0] for one in (before, bad, odd, after)] == [
        "ready",
        "rejected",
        "rejected",
        "ready",
    ]
    assert "jana@.example" in eshop.state(bad)[1]
    assert "attachments.0.content: is not in base64" in eshop.state(odd)[1]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        pytest.param('{"a": ' + "[" * 1200 + "]" * 1200 + "}", "nested too deeply", id="depth"),
        pytest.param('{"a": 1e5000}', "too many digits", id="digits"),
        pytest.param('{"a": [' + "[]," * 500_000 + "[]]}", "500,000 values", id="values"),
    ],
)
def test_json_that_only_postgresql_can_read_blocks_no_other(engine, eshop, fields, why):
    bad = eshop.enqueue(fields=fields, priority="transactional")
    after = eshop.enqueue()

    assert take_in(engine) is False

    assert eshop.state(after)[0] == "ready"
    state, reason, _ = eshop.state(bad)
    assert (state, why in reason) == ("rejected", True)
    with engine.connect() as connection:
        assert why in people.look(connection, bad)["document"]["note"]


def test_what_is_held_in_memory_at_once_is_bounded_though_the_database_compresses(
    engine, eshop, monkeypatch
):
    monkeypatch.setattr(rows, "BATCH_OCTETS", 100_000)
    numbers = [eshop.enqueue(body_html="x" * 60_000) for _ in range(4)]

    with engine.begin() as connection:
        found = rows.waiting(connection, [])
    assert (len(found), found[0].more) == (2, True)
    take_in(engine)

    assert {eshop.state(one)[0] for one in numbers} == {"ready"}


def test_what_was_rejected_can_be_handed_in_again_mended_under_its_key(engine, eshop):
    key = str(uuid.uuid4())
    number = eshop.enqueue(to_addresses=["jana@.example"], idempotency_key=key)
    take_in(engine)
    assert eshop.state(number)[0] == "rejected"

    again = eshop.enqueue(idempotency_key=key)
    take_in(engine)

    assert again == number
    assert eshop.state(number)[0] == "ready"


def test_nobody_sees_the_messages_of_a_company_that_is_not_theirs(engine, eshop):
    with engine.begin() as connection:
        make_company(connection, name="Iná firma")
    other = let_in(engine, "Iná firma")

    number = other.enqueue()

    assert eshop.state(number) is None
    with pytest.raises(errors.InsufficientPrivilege):
        other.enqueue(company="Kvetinárstvo Ruža")


def test_a_role_of_two_companies_says_for_which(engine, eshop):
    with engine.begin() as connection:
        make_company(connection, name="Druhá firma")
    both = let_in(engine, "Druhá firma")
    with db.transaction(engine, who="tests") as connection:
        company = find_company(connection, "Kvetinárstvo Ruža")
        assert sql_roles.allow(connection, company, both.name, rotate=False) is None

    with pytest.raises(psycopg2.Error, match="may enqueue for several"):
        both.enqueue()
    assert both.enqueue(company="Druhá firma")


def test_a_role_may_call_these_functions_and_nothing_else(engine, eshop):
    with engine.connect() as connection:
        tables = connection.execute(
            text("""SELECT format('%I', relname), relkind FROM pg_class
                WHERE relkind IN ('r', 'v', 'S') AND relnamespace = 'public'::regnamespace""")
        ).all()
        functions = connection.execute(
            text("""SELECT p.proname, p.oid::bigint AS number FROM pg_proc p
                WHERE p.pronamespace IN ('public'::regnamespace, 'kadencia'::regnamespace)""")
        ).all()
    with eshop.connect() as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for table, kind in tables:
            for statement in SEQUENCE if kind == "S" else TABLE:
                with pytest.raises(errors.InsufficientPrivilege):
                    cursor.execute(statement.format(f"public.{table}"))
        for schema in ("public", "kadencia"):
            with pytest.raises(errors.InsufficientPrivilege):
                cursor.execute(f"CREATE TABLE {schema}.mine (a int)")
        allowed = set()
        for name, number in functions:
            cursor.execute("SELECT has_function_privilege(%s::oid, 'EXECUTE')", [number])
            if cursor.fetchone()[0]:
                allowed.add(name)
        with pytest.raises(errors.InsufficientPrivilege):
            cursor.execute("SELECT kadencia.hand_in(1, 'email', 'bulk', '{}')")
    assert len(tables) > 20
    assert allowed == {"enqueue_email", "enqueue_sms", "message_state"}


def test_temporary_objects_of_a_caller_change_nothing(engine, eshop):
    with eshop.connect() as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE sql_role (role text, company_id bigint)")
        cursor.execute("CREATE TEMP TABLE intake (id bigint)")
        cursor.execute("SET search_path = pg_temp, public")
        cursor.execute(ENQUEUE.format(more=""), {"to_addresses": ["a@b.example"], "subject": "T"})
        number = cursor.fetchone()[0]

    assert eshop.state(number)[0] == "waiting"


def test_a_role_that_is_let_in_no_more_is_refused(engine, firm):
    gone = let_in(engine, "Kvetinárstvo Ruža")
    with db.transaction(engine, who="tests") as connection:
        assert sql_roles.disallow(connection, gone.name, None) == 0

    with pytest.raises(errors.InsufficientPrivilege):
        gone.enqueue()


def test_a_password_is_changed_only_of_a_role_that_is_ours(engine, eshop):
    with db.transaction(engine, who="tests") as connection:
        company = find_company(connection, "Kvetinárstvo Ruža")
        with pytest.raises(RegisterError, match="superuser"):
            sql_roles.allow(connection, company, engine.url.username, rotate=True)
        with pytest.raises(RegisterError, match="was not let in before"):
            sql_roles.allow(connection, company, "pg_monitor", rotate=True)
        with pytest.raises(RegisterError, match="cannot be a role's name"):
            sql_roles.allow(connection, company, "a; DROP ROLE b", rotate=False)
        made = sql_roles.allow(connection, company, eshop.name, rotate=True)
        assert [row["role"] for row in sql_roles.sql_roles(connection)].count(eshop.name) == 1

    eshop.dsn["password"] = made
    assert eshop.enqueue()
