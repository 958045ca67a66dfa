"""A backup taken in mid-load and brought back: nothing goes out by itself, and nothing twice."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import text

from settings import load
from tests.support.fleet import Fleet
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.services import service_directory
from tests.support.sink import SinkProcess
from worker import backup as backups
from worker import bootstrap, db
from worker.backup import Place
from worker.embedded.directory import DataDirectory
from worker.outbox import people
from worker.registers import RegisterError, safety

pytestmark = pytest.mark.acceptance

HOUR = {"KADENCIA_WINDOW_SECONDS": "3600", "KADENCIA_BURST_SECONDS": "3600"}


class House:
    """A database, the fleet that works on it, and where its e-mails arrive."""

    def __init__(self, engine, redis_url, sink):
        self.engine, self.sink = engine, sink
        self.fleet = Fleet(engine, redis_url, **HOUR)

    def __enter__(self):
        return self

    def __exit__(self, *of_error):
        self.fleet.__exit__(*of_error)

    def start(self):
        self.fleet.beat()
        self.fleet.worker()

    def enqueue(self, task, name, count=1, **columns):
        with self.engine.begin() as connection:
            for number in range(count):
                to = [f"{name}{number}@firma.example"]
                make_message(connection, task, recipients=to, subject=name, **columns)

    def arrived(self):
        """How often each recipient got it."""
        return Counter(one for entry in self.sink.journal() for one in entry["recipients"])

    def parked(self, state):
        """Id and recipient of the messages in a state."""
        with self.engine.connect() as connection:
            query = text("""
                SELECT m.id, r.address FROM message m JOIN recipient r ON r.message_id = m.id
                WHERE m.state = :state""")
            return list(connection.execute(query, {"state": state}))

    def scalar(self, query):
        with self.engine.connect() as connection:
            return connection.execute(text(query)).scalar()

    def counted(self, redis_url):
        """What the throttle's log counts against the task's cadence."""
        throttle = bootstrap.make_throttle(load({"REDIS_URL": redis_url, **HOUR}))
        found = throttle.look(
            task_id=self.task.id,
            account_id=self.task.account_id,
            domain_limit=None,
            generation=self.scalar("SELECT generation FROM installation"),
        )
        return found.task_used


@pytest.fixture
def sink():
    with SinkProcess("--delay", "0.01") as running:
        yield running


@pytest.fixture
def directory():
    with service_directory() as path:
        yield path


@pytest.fixture
def restored(engine, database_url, redis_url, services, sink, directory):
    """A house after the restore of a backup, since which the first one went on sending."""
    with House(engine, redis_url, sink) as first:
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company, port=sink.port)
            first.task = make_task(connection, company, account)
            first.idle = make_task(connection, company, account, active=False)
        first.enqueue(first.task, "early", 60)
        first.enqueue(first.idle, "never", 5)
        first.enqueue(first.task, "held", 2, state="held")
        first.start()
        wait_until(lambda: first.fleet.states()["sent"] >= 15, 30)
        settings = load({})
        place = Place(database_url, settings, DataDirectory(directory / "first"))
        place.data.ensure_keys()
        backups.backup(place, directory / "backup.tar")
        first.enqueue(first.task, "late", 10)
        with engine.begin() as connection:
            people.release(connection, min(first.parked("held"))[0])
        wait_until(lambda: first.fleet.states()["sent"] == 71, 60)
        first.fleet.end_all()
    target = Place(services.empty_database(), settings, DataDirectory(directory / "second"))
    backups.restore(target, directory / "backup.tar", keep=None)
    copy = db.make_engine(target.url, name="tests")
    with House(copy, redis_url, sink) as second:
        second.task, second.idle = first.task, first.idle
        yield second
    copy.dispose()
    services.drop_database(target.url)


def test_nothing_goes_out_before_a_person_has_looked_and_nothing_twice_after(restored, redis_url):
    before = restored.arrived()
    assert set(before.values()) == {1}
    restored.enqueue(restored.task, "fresh")

    restored.start()
    wait_until(lambda: restored.scalar("SELECT count(*) FROM alarm WHERE kind = 'stopped'"), 30)

    assert restored.arrived() == before
    assert restored.counted(redis_url) >= sum(before.values())  # what went since the backup too
    assert restored.fleet.states()["ready"] == 1  # what was handed in since
    assert restored.scalar("SELECT why FROM message WHERE state = 'held' LIMIT 1").startswith(
        "restored from the backup of"
    )
    with pytest.raises(RegisterError, match="--reviewed"), restored.engine.begin() as connection:
        safety.start_all(connection, reviewed=False)

    review(restored, before)
    wait_until(lambda: not {"ready", "released", "sending"} & set(restored.fleet.states()), 60)

    after = restored.arrived()
    assert set(after.values()) == {1}
    assert set(after) - set(before) == {f"never{n}@firma.example" for n in range(5)} | {
        "fresh0@firma.example"
    }


def review(house, arrived):
    """A person settles what is unknown or held by what the SMTP server's log says."""
    with house.engine.begin() as connection:
        for message_id, address in house.parked("unknown"):
            move = people.resolve_sent if address in arrived else people.resolve_resend
            move(connection, message_id)
        for message_id, address in house.parked("held"):
            if address in arrived:
                people.cancel(connection, message_id)
        safety.start_all(connection, reviewed=True)
        connection.execute(text("UPDATE automatic_task SET active = true"))
