"""A sending or sweeping process is killed at each arrow of the way of a message.

One fleet for all: a beat, and a worker with two sending processes. What each crash must leave
behind is the table in docs/architecture.md.
"""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.support.fleet import Fleet
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.sink import SinkProcess
from worker import db
from worker.crashpoints import CrashPoint

pytestmark = pytest.mark.acceptance

BEFORE_THE_CLAIM = [
    CrashPoint.SWEEP_LEASED,
    CrashPoint.SWEEP_HALF_PUBLISHED,
    CrashPoint.CONNECTED,
]
CLAIMED = [
    CrashPoint.CLAIMED,
    CrashPoint.PERMITTED,
    CrashPoint.BEFORE_MAIL,
    CrashPoint.BEFORE_DATA,
]
PERHAPS_SENT = [CrashPoint.DOT_SENT, CrashPoint.ANSWERED]


class Town:
    """A fleet with a task that sends through a sink."""

    def __init__(self, engine, fleet, sink, task):
        self.engine, self.fleet, self.sink, self.task = engine, fleet, sink, task

    def crash_at(self, point):
        """Enqueue one message, and see a process killed at a point on its way."""
        armed = self.fleet.crash_points / point
        armed.touch()
        with self.engine.begin() as connection:
            make_message(connection, self.task, recipients=[f"{point}@firma.example"])
        wait_until(lambda: not armed.exists(), 10)

    def state(self, point):
        """The state of the message of that point."""
        with self.engine.connect() as connection:
            query = text("""
                SELECT m.state FROM message m JOIN recipient r ON r.message_id = m.id
                WHERE r.address = :address""")
            return connection.execute(query, {"address": f"{point}@firma.example"}).scalar_one()

    def arrived(self, point):
        """How often the SMTP server took the message of that point."""
        entries = (e for e in self.sink.journal() if e["dot_us"] is not None)
        return sum(f"{point}@firma.example" in e["recipients"] for e in entries)

    def attempts(self, point):
        """The states of the attempts of that point's message, oldest first."""
        with self.engine.connect() as connection:
            query = text("""
                SELECT a.state FROM attempt a JOIN recipient r ON r.message_id = a.message_id
                WHERE r.address = :address ORDER BY a.opened_at""")
            values = {"address": f"{point}@firma.example"}
            return list(connection.execute(query, values).scalars())


@pytest.fixture(scope="module")
def town(services):
    url = services.fresh_database()
    services.flush_valkey()
    engine = db.make_engine(url, name="tests")
    quick = {"KADENCIA_RELEASED_DEADLINE_SECONDS": "2"}
    with SinkProcess() as sink, Fleet(engine, services.valkey_url(), **quick) as fleet:
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company, port=sink.port)
            task = make_task(connection, company, account)
        fleet.beat()
        fleet.worker()
        town = Town(engine, fleet, sink, task)
        for point in BEFORE_THE_CLAIM:
            town.crash_at(point)
            fleet.settled(30)  # it is released again, and must not reach the next point
        for point in (*CLAIMED, *PERHAPS_SENT, CrashPoint.SETTLED):
            town.crash_at(point)
        fleet.settled(30)
        yield town
    engine.dispose()
    services.drop_database(url)


@pytest.mark.parametrize("point", BEFORE_THE_CLAIM)
def test_a_crash_before_the_claim_costs_nothing_but_time(town, point):
    assert town.state(point) == "sent"
    assert town.arrived(point) == 1
    assert town.attempts(point) == ["accepted"]


@pytest.mark.parametrize("point", CLAIMED)
def test_a_crash_between_claim_and_dot_is_unknown_and_nothing_arrives(town, point):
    assert town.state(point) == "unknown"
    assert town.arrived(point) == 0
    assert town.attempts(point) == ["unknown"]


@pytest.mark.parametrize("point", PERHAPS_SENT)
def test_a_crash_after_the_dot_is_unknown_and_it_arrives_once(town, point):
    assert town.state(point) == "unknown"
    assert town.arrived(point) == 1
    assert town.attempts(point) == ["unknown"]


def test_a_crash_after_settling_changes_nothing(town):
    assert town.state(CrashPoint.SETTLED) == "sent"
    assert town.arrived(CrashPoint.SETTLED) == 1
    assert town.attempts(CrashPoint.SETTLED) == ["accepted"]
