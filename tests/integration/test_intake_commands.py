"""`kadencia intake` and `kadencia sql-role`, as an operator types them."""

from __future__ import annotations

from datetime import timedelta

import psycopg2
import pytest
from sqlalchemy import make_url, text

from models.states import Channel
from settings import load
from tests.support.command_line import CommandLine
from tests.support.rows import make_company, make_establishment
from tests.support.shared_database import shared_engine
from worker import intake
from worker.core.alarms import Kind, concerns
from worker.outbox import watch

SILENT = timedelta(seconds=30)


@pytest.fixture(scope="module")
def engine(services):
    with shared_engine(services) as engine:
        with engine.begin() as connection:
            make_company(connection, name="Kvetinárstvo Ruža")
        yield engine


@pytest.fixture(scope="module")
def kadencia(engine, tmp_path_factory):
    url = engine.url.render_as_string(hide_password=False)
    return CommandLine(tmp_path_factory.mktemp("data"), DATABASE_URL=url)


def reject(engine, **changes):
    """Hand in what cannot be sent; returns its number."""
    document = {
        "schema": 1,
        "to": ["jana@zakaznik.example"],
        "subject": "Faktúra",
        "text": "Dobrý deň",
        "attachments": [{"filename": "f.txt", "content": "QUJD"}],
        "idempotency_key": str(changes),
        **changes,
    }
    given = (Channel.EMAIL, (), {"document": document}, "gen1@eshop")
    assert intake.hand_in(engine, load({}), *given)
    with engine.connect() as connection:
        return intake.listing(connection, intake.Look())[0]["id"]


def alarmed(engine):
    with engine.connect() as connection:
        found = concerns(watch.facts(connection, SILENT))
    return [one.what for one in found if one.kind is Kind.INTAKE]


def test_what_was_rejected_is_seen_shown_mended_or_given_up(engine, kadencia):
    mended, hopeless = reject(engine, establishment="Stánok"), reject(engine, schema=7)

    listed = kadencia.done("intake", "list", "--json").json
    assert [one["id"] for one in listed] == [hopeless, mended]
    assert "no establishment 'Stánok'" in listed[1]["why"]
    table = kadencia.done("intake", "list").out
    assert "schema: is 7" in table
    assert "jana@" not in table
    shown = kadencia.done("intake", "show", str(mended), "--json").json
    assert shown["document"]["to"] == ["jana@zakaznik.example"]
    assert shown["document"]["attachments"] == [{"filename": "f.txt", "content": "4 characters"}]
    assert "2 documents that services handed in were rejected" in alarmed(engine)[0]

    with engine.begin() as connection:
        company = connection.execute(text("SELECT id FROM company")).scalar_one()
        make_establishment(connection, company, name="Stánok")
    again = kadencia("intake", "retry", "--all")
    gone = kadencia.done("intake", "dismiss", str(hopeless)).out

    assert again.code == 1
    assert "accepted" in again.out
    assert "rejected" in again.out
    assert gone == "dismissed: 1\n"
    assert kadencia.done("intake", "list").out == "none\n"
    assert len(kadencia.done("intake", "list", "--all", "--json").json) == 2
    assert alarmed(engine) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["intake", "retry"], "give the numbers of some, or --all", id="none named"),
        pytest.param(["intake", "retry", "1", "--all"], "or --all", id="some and all"),
        pytest.param(["intake", "retry", "999"], "nothing rejected has the number 999", id="gone"),
        pytest.param(["intake", "show", "999"], "nothing rejected has the number 999", id="none"),
        pytest.param(["intake", "list", "--state", "x"], "is not one of", id="no state"),
        pytest.param(["sql-role", "create", "A b"], "cannot be a role's name", id="no name"),
        pytest.param(["sql-role", "create", "kadencia"], "is a superuser", id="a superuser"),
        pytest.param(["sql-role", "remove", "nobody"], "is let in for none", id="no role"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_with_the_way_to_mend_it(kadencia, words, told):
    ended = kadencia(*words)

    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


def test_what_waits_for_long_raises_an_alarm(engine):
    with engine.begin() as connection:
        connection.execute(
            text("""INSERT INTO intake (channel, source, document, created_at)
                VALUES ('email', 'sql', '{}', now() - interval '2 minutes')""")
        )
        assert "has waited for a minute" in str(concerns(watch.facts(connection, SILENT)))
        connection.rollback()


def test_a_service_is_let_in_and_shown_its_password_once(engine, kadencia):
    made = kadencia.done("sql-role", "create", "eshop_of_commands")
    again = kadencia.done("sql-role", "create", "eshop_of_commands")
    rotated = kadencia.done("sql-role", "create", "eshop_of_commands", "--rotate")

    assert "it is shown" not in again.err + again.out
    assert again.out == ""
    passwords = made.out.strip(), rotated.out.strip()
    assert len(set(passwords)) == 2
    url = make_url(engine.url).set(username="eshop_of_commands", drivername="postgresql")
    with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
        psycopg2.connect(url.set(password=passwords[0]).render_as_string(hide_password=False))
    psycopg2.connect(url.set(password=passwords[1]).render_as_string(hide_password=False)).close()
    assert kadencia.done("sql-role", "list", "--json").json[0]["role"] == "eshop_of_commands"
    gone = kadencia.done("sql-role", "remove", "eshop_of_commands").out
    assert gone == "role eshop_of_commands may enqueue for no companies now\n"
    with engine.connect() as connection:
        logged = connection.execute(text("SELECT before::text || after::text FROM audit_log"))
        assert not any(one in str(logged.all()) for one in passwords)
