"""A schema that a later version has added to works with this one; any other does not."""

from __future__ import annotations

import pytest
from sqlalchemy import text

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
