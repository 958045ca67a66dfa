"""A schema that a later version has added to works with this one; any other does not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from tests.support.command_line import CommandLine
from tests.support.process_table import wait_until
from tests.support.shared_database import rolled_back, shared_engine
from worker import db
from worker.cli.context import check_schema
from worker.cli.output import CommandError


@pytest.fixture(scope="module")
def database(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def connection(database):
    with rolled_back(database, "tests") as connection:
        yield connection


def stamp(connection, revision, oldest="0001"):
    connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": revision})
    connection.execute(text("UPDATE installation SET oldest_schema = :to"), {"to": oldest})


def test_a_later_schema_that_goes_on_working_with_this_version_is_taken(connection):
    stamp(connection, "9999", oldest=db.newest_revision())

    assert db.works_on(connection)
    check_schema(connection)


@pytest.mark.parametrize(
    ("revision", "oldest", "mend"),
    [
        pytest.param("9999", "9998", "install the version", id="it was contracted since"),
        pytest.param("0001", "0001", "run `kadencia migrate`", id="it is older"),
    ],
)
def test_any_other_schema_is_refused_with_what_mends_it(connection, revision, oldest, mend):
    stamp(connection, revision, oldest)

    assert not db.works_on(connection)
    with pytest.raises(CommandError, match=mend):
        check_schema(connection)


@contextmanager
def at_work(engine):
    """Somebody reads tasks and messages in one transaction, until the end of the context."""
    with engine.begin() as connection:
        connection.execute(text("SELECT FROM automatic_task, message"))
        yield


def waiting(engine):
    """How many wait for a table."""
    with engine.connect() as connection:
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND NOT granted"
        return connection.execute(text(query)).scalar_one()


def test_a_migration_gives_way_to_those_at_work_and_is_tried_again(engine):
    db.migrate(engine, "0001")

    with ThreadPoolExecutor(1) as pool:
        with at_work(engine):
            migrated = pool.submit(db.migrate, engine)
            wait_until(lambda: waiting(engine))
            wait_until(lambda: not waiting(engine))  # nobody else need wait behind it

        assert migrated.result() == db.newest_revision()


def test_a_migration_that_never_gets_its_turn_says_so(engine, database_url, tmp_path, monkeypatch):
    db.migrate(engine, "0001")
    monkeypatch.setattr(db, "PATIENCE_SECONDS", 0.0)

    with at_work(engine):
        ended = CommandLine(tmp_path, DATABASE_URL=database_url)("migrate")

    assert ended.code == 1
    assert "the tables were in use" in ended.err
