"""Two hosts, each with a name and lines of its own: one is cut off, and the other stands in."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter

import pytest
from sqlalchemy import text

from tests.faults.line import Switchboard
from tests.support.fleet import NAMED_HOST, Fleet
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_message, make_server, make_task
from tests.support.sink import SinkProcess
from worker.registers import stand_ins, task_views

MESSAGES = 150
HOSTS = text("""
    SELECT split_part(worker, '/', 1), split_part(worker, '/', 2), count(*) FROM attempt
    WHERE state = 'accepted' GROUP BY 1, 2
""")


@pytest.fixture
def fleet(engine, redis_url):
    if subprocess.run((*NAMED_HOST, "a", "true"), capture_output=True, check=False).returncode:
        pytest.skip("only root may give a process a host name of its own")
    with Fleet(engine, redis_url) as made:
        yield made


@pytest.fixture
def lines(fleet):
    """To PostgreSQL and Redis, for one host, and the addresses by way of them."""
    board = Switchboard()
    made = {
        name: board.line_to(name, fleet.environment[name]) for name in ("DATABASE_URL", "REDIS_URL")
    }
    yield [line for line, _ in made.values()], {name: url for name, (_, url) in made.items()}
    board.close()


def hosts(engine):
    """How many messages each OAC server has sent, with its host."""
    with engine.connect() as connection:
        return {(server, host): count for server, host, count in connection.execute(HOSTS)}


def events(engine, task):
    """What the journal tells of the task's server, newest first."""
    with engine.connect() as connection:
        return [e["event"] for e in task_views.journal(connection, task, 20) if e["event"]]


def back_since(engine):
    with engine.connect() as connection:
        return connection.execute(text("SELECT back_since FROM automatic_task")).scalar_one()


def test_a_host_that_is_cut_off_is_stood_in_for_and_takes_its_task_back(engine, fleet, lines):
    cables, by_cable = lines
    with SinkProcess("--delay", "0.01") as sink:
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company, port=sink.port)
            task = make_task(connection, company, account)
            make_server(connection, "reserve")
            stand_ins.set_stand_ins(connection, task.id, ["reserve"])
        fleet.beat()
        fleet.worker("main", host="a.example", **by_cable)
        fleet.worker("reserve", host="b.example")
        with engine.begin() as connection:
            for number in range(MESSAGES):
                make_message(connection, task, recipients=[f"r{number}@firma.example"])
        wait_until(lambda: hosts(engine).get(("main", "a.example"), 0) > 10, 60)

        cut = time.monotonic()
        for cable in cables:
            cable.refuse()
        wait_until(lambda: hosts(engine).get(("reserve", "b.example"), 0) > 10, 60)
        sys.stdout.write(f"the stand-in has sent 10 after {time.monotonic() - cut:.1f} s\n")
        for cable in cables:
            cable.restore()
        wait_until(lambda: back_since(engine) is not None, 30)
        with engine.begin() as connection:  # a minute is too long for a test
            connection.execute(
                text("UPDATE automatic_task SET back_since = back_since - interval '1 minute'")
            )
        wait_until(lambda: len(events(engine, task)) == 2, 30)

        assert fleet.settled(60) == {"sent": MESSAGES}
        arrived = Counter(name for entry in sink.journal() for name in entry["recipients"])
        assert arrived == {f"r{number}@firma.example": 1 for number in range(MESSAGES)}
    assert [event.partition(":")[0] for event in events(engine, task)] == [
        "main takes over from reserve",
        "reserve takes over from main",
    ]
