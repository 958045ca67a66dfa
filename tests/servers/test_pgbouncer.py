"""A fleet whose database is behind PgBouncer in transaction mode."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from tests.support.debian_postgres import PgBouncer
from tests.support.fleet import Fleet
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.services import service_directory
from tests.support.sink import SinkProcess
from worker import db

pytestmark = pytest.mark.acceptance

MESSAGES = 60

INI = """
[databases]
{name} = host={host} port={port} dbname={name}

[pgbouncer]
auth_type = scram-sha-256
auth_file = userlist.txt
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
"""


@pytest.fixture
def pooled_url(database_url):
    """The test's database through a pooler of its own that keeps four sessions."""
    direct = make_url(database_url)
    ini = INI.format(name=direct.database, host=direct.host, port=direct.port)
    users = f'"{direct.username}" "{direct.password}"\n'
    with service_directory() as directory, PgBouncer(directory / "pgbouncer", ini, users) as pooler:
        yield direct.set(port=pooler.port).render_as_string(hide_password=False)


def test_a_fleet_sends_through_a_pooler_that_keeps_no_session(
    engine, database_url, pooled_url, redis_url
):
    with SinkProcess() as sink:
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company, port=sink.port, most_connections=6)
            task = make_task(connection, company, account)
            for number in range(MESSAGES):
                make_message(connection, task, recipients=[f"r{number}@firma.example"])
        addresses = {"DATABASE_URL": pooled_url, "KADENCIA_DATABASE_DIRECT_URL": database_url}
        with Fleet(engine, redis_url, **addresses) as fleet:
            fleet.beat()
            fleet.worker(processes=3)

            states = fleet.settled(60)

        assert states == {"sent": MESSAGES}
        assert len(sink.journal()) == MESSAGES


def test_each_transaction_through_a_pooler_has_its_bounds_and_leaves_none_behind(pooled_url):
    engine = db.make_engine(pooled_url, name="tests", pooled=True)
    bounds = "statement_timeout", "idle_in_transaction_session_timeout", "TimeZone"

    with engine.connect() as connection:
        found = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in bounds]
        connection.rollback()
        raw = connection.connection.cursor()
        raw.execute("SHOW statement_timeout")
        after = raw.fetchone()[0]

    engine.dispose()
    assert found == ["1min", "1min", "UTC"]
    assert after == "0"


def test_a_pooler_that_is_not_told_of_is_refused_with_its_own_words(pooled_url):
    engine = db.make_engine(pooled_url, name="tests")

    with pytest.raises(OperationalError, match="unsupported startup parameter"):
        engine.connect()

    engine.dispose()
