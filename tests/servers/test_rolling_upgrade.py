"""Hosts are upgraded one by one: workers of the last release and of this one side by side."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.support.fleet import Fleet
from tests.support.previous_release import previous_release, unpack
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.sink import SinkProcess
from worker import db

MESSAGES = 200
SHARES = text("""
    SELECT split_part(a.worker, '/', 3), count(*) FROM attempt a
    WHERE a.state = 'accepted' GROUP BY 1
""")
REVISION = "SELECT version_num FROM alembic_version"


@pytest.fixture(scope="module")
def old_code(tmp_path_factory) -> Path:
    return unpack(previous_release(), tmp_path_factory.mktemp("previous"))


@pytest.fixture
def old_database(services, old_code):
    """A database with the schema of the last release."""
    url = services.empty_database()
    engine = db.make_engine(url, name="tests", pool_size=5)
    with Fleet(engine, services.valkey_url()) as fleet:
        assert fleet.start("migrate", code=old_code).wait(60) == 0
    yield engine
    engine.dispose()
    services.drop_database(url)


@pytest.fixture
def fleet(old_database, redis_url):
    with Fleet(old_database, redis_url) as made:
        yield made


def imported(code: Path, fleet: Fleet) -> Path:
    """Where the package comes from that Celery's processes import."""
    asked = subprocess.run(
        (sys.executable, "-P", "-c", "import worker; print(worker.__file__)"),
        env={**fleet.environment, "PYTHONPATH": str(code)},
        cwd=code,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return Path(asked.stdout.strip())


def enqueue(engine, task, first):
    with engine.begin() as connection:
        for number in range(first, first + MESSAGES):
            make_message(connection, task, recipients=[f"r{number}@firma.example"])


def revision(engine):
    with engine.connect() as connection:
        return connection.execute(text(REVISION)).scalar_one()


def shares(engine):
    """How many messages each `kadencia worker` has sent."""
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(SHARES)}


def test_old_and_new_workers_side_by_side_send_everything_once(old_code, old_database, fleet):
    engine = old_database
    assert old_code in imported(old_code, fleet).parents
    before = revision(engine)
    with SinkProcess("--delay", "0.02") as sink:
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company, port=sink.port, most_connections=8)
            task = make_task(connection, company, account)
        old = [fleet.beat(old_code), fleet.worker(code=old_code)]
        enqueue(engine, task, 0)
        wait_until(lambda: fleet.states()["sent"] > 20, 30)

        assert db.migrate(engine) == db.newest_revision()
        new = [fleet.beat(), fleet.worker()]
        enqueue(engine, task, MESSAGES)
        wait_until(lambda: len(shares(engine)) == 2 and min(shares(engine).values()) > 20, 30)
        for one in reversed(old):
            one.send_signal(signal.SIGTERM)
        assert old[1].wait(60) == 0

        assert fleet.settled(60) == {"sent": 2 * MESSAGES}
        assert all(one.poll() is None for one in new)
        arrived = Counter(name for entry in sink.journal() for name in entry["recipients"])
        assert arrived == {f"r{number}@firma.example": 1 for number in range(2 * MESSAGES)}
        sys.stdout.write(f"{before} and {db.newest_revision()}: {shares(engine)}\n")


def test_a_worker_refuses_a_schema_that_was_not_migrated(engine, redis_url):
    db.migrate(engine, db.revisions()[1])
    with Fleet(engine, redis_url) as fleet:
        process = fleet.start("worker", "--server", "main")

        assert process.wait(60) == 1
        assert "run `kadencia migrate`" in fleet.log.read_text()
