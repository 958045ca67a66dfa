"""Debian's PostgreSQL 15 over TLS: migrations, and an e-mail on its way."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from settings import load
from tests.support.certificates import Authority
from tests.support.debian_postgres import Postgres, hand_over
from tests.support.fleet import Fleet
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.services import service_directory
from tests.support.sink import SinkProcess
from worker import bootstrap, db

pytestmark = pytest.mark.acceptance

ENCRYPTED = "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE "


@pytest.fixture(scope="module")
def directory():
    with service_directory() as path:
        yield path


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory)


@pytest.fixture(scope="module")
def server(directory, authority):
    ours = authority.issue("127.0.0.1")
    hand_over(ours.key)
    ours.key.chmod(0o600)
    settings = [
        "ssl = on",
        f"ssl_cert_file = '{ours.certificate}'",
        f"ssl_key_file = '{ours.key}'",
        f"ssl_ca_file = '{authority.ca}'",
    ]
    hba = ["hostssl kadencia kadencia 127.0.0.1/32 scram-sha-256"]
    with Postgres(directory / "postgres", settings, hba) as running:
        yield running


@pytest.fixture(scope="module")
def url(server, authority):
    return f"{server.url}?sslmode=verify-full&sslrootcert={authority.ca}"


@pytest.fixture(scope="module")
def engine(url):
    """On the migrated database of that server."""
    engine = bootstrap.make_engine(load({"DATABASE_URL": url}), "tests", 4)
    db.migrate(engine)
    yield engine
    engine.dispose()


def test_a_fleet_sends_with_every_session_encrypted(engine, server, redis_url):
    with SinkProcess() as sink:
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company, port=sink.port)
            task = make_task(connection, company, account)
            for number in range(20):
                make_message(connection, task, recipients=[f"r{number}@firma.example"])
        with Fleet(engine, redis_url) as fleet:
            fleet.beat()
            fleet.worker(processes=2)

            states = fleet.settled(60)
            encrypted = server.sql(ENCRYPTED + "a.usename = 'kadencia'")

        assert states == {"sent": 20}
        assert encrypted == "t"


def test_the_schema_is_brought_to_this_version_on_postgresql_15(engine):
    with engine.connect() as connection:
        version = connection.execute(text("SHOW server_version")).scalar_one()

        assert version.startswith("15.")
        assert db.schema_revision(connection) == db.newest_revision()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param("sslmode=disable", "no pg_hba.conf entry", id="without TLS"),
        pytest.param(
            "sslmode=verify-full&sslrootcert={other}",
            "certificate verify failed",
            id="with another's authority",
        ),
    ],
)
def test_who_does_not_speak_tls_or_trusts_another_gets_no_answer(options, words, server, directory):
    other = directory / "another"
    other.mkdir(exist_ok=True)
    path = Authority(other).ca
    engine = db.make_engine(f"{server.url}?{options.format(other=path)}", name="tests")

    with pytest.raises(OperationalError, match=words):
        engine.connect()

    engine.dispose()
