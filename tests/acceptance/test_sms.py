"""SMS through a real fleet and the gateway's emulator, and what a crash leaves at each arrow."""

from __future__ import annotations

import os
import signal

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from tests.support.emulator import IID, KEY, EmulatorProcess
from tests.support.fleet import Fleet
from tests.support.process_table import wait_until
from tests.support.rows import (
    make_account,
    make_company,
    make_eurosms_account,
    make_message,
    make_sms,
    make_sms_task,
    make_task,
)
from tests.support.sink import SinkProcess
from worker import db
from worker.crashpoints import CrashPoint
from worker.outbox import sms_polls
from worker.vault import Vault

pytestmark = pytest.mark.acceptance

STORE_KEY = Fernet.generate_key().decode()
SEALED = Vault([STORE_KEY]).seal(KEY)
CRASHES = (
    CrashPoint.PERMITTED,
    CrashPoint.ANSWERED,
    pytest.param(CrashPoint.CLAIMED, marks=pytest.mark.slow),
    pytest.param(CrashPoint.SETTLED, marks=pytest.mark.slow),
)


class Town:
    """A fleet that sends e-mails and SMS."""

    def __init__(self, engine, fleet, emulator, mail_task, sms_task):
        self.engine, self.fleet, self.emulator = engine, fleet, emulator
        self.mail_task, self.sms_task = mail_task, sms_task

    def sms(self, number="+421901000010", **columns):
        """Enqueue an SMS; its id."""
        with self.engine.begin() as connection:
            return make_sms(connection, self.sms_task, number=number, **columns).id

    def state(self, message_id):
        with self.engine.connect() as connection:
            query = text("SELECT state FROM message WHERE id = :id")
            return connection.execute(query, {"id": message_id}).scalar_one()

    def until(self, message_id, *states, seconds=30):
        wait_until(lambda: self.state(message_id) in states, seconds)

    def accepted(self, message_id):
        """How often the gateway took it."""
        with self.engine.connect() as connection:
            query = text("SELECT message_id FROM message WHERE id = :id")
            own_key = connection.execute(query, {"id": message_id}).scalar_one()
        return sum(one["f"] == own_key for one in self.emulator.records())


@pytest.fixture(scope="module")
def town(services):
    url = services.fresh_database()
    services.flush_valkey()
    engine = db.make_engine(url, name="tests")
    environment = {"KADENCIA_KEYS": STORE_KEY, "KADENCIA_RELEASED_DEADLINE_SECONDS": "2"}
    with (
        SinkProcess() as sink,
        EmulatorProcess("--report-after", "0.2") as emulator,
        Fleet(engine, services.valkey_url(), **environment) as fleet,
    ):
        with engine.begin() as connection:
            company = make_company(connection)
            mail = make_task(connection, company, make_account(connection, company, port=sink.port))
            account = make_eurosms_account(
                connection,
                company,
                base_url=emulator.url,
                integration_id=IID,
                key=SEALED,
                poll_seconds=1,
            )
            sms_polls.ensure(connection, emulator.url, IID)
            sms = make_sms_task(connection, company, account)
        fleet.beat()
        fleet.worker(queues="email,eurosms", processes=1)
        yield Town(engine, fleet, emulator, mail, sms)
    engine.dispose()
    services.drop_database(url)


def test_an_sms_is_sent_and_its_delivery_is_found_out(town):
    delivered = town.sms("+421901000010")
    undelivered = town.sms("+421901000101")

    town.until(delivered, "delivered")
    town.until(undelivered, "undelivered")

    assert town.accepted(delivered) == town.accepted(undelivered) == 1


def test_neither_sms_nor_e_mails_wait_behind_the_others(town):
    town.emulator.misbehave({"kind": "slow", "path": "send/*", "seconds": 2, "times": 3})
    slow = [town.sms() for _ in range(3)]
    with town.engine.begin() as connection:
        mail = make_message(connection, town.mail_task).id

    town.until(mail, "sent", seconds=5)

    assert not {"sent", "delivered"} >= {town.state(one) for one in slow}
    for one in slow:
        town.until(one, "delivered")


@pytest.mark.parametrize("point", CRASHES)
def test_a_crash_loses_no_sms_and_sends_none_twice(town, point):
    armed = town.fleet.crash_points / point
    armed.touch()

    made = town.sms()
    wait_until(lambda: not armed.exists(), 10)

    if point in (CrashPoint.CLAIMED, CrashPoint.PERMITTED):
        town.until(made, "unknown")  # nothing went, and nobody knows
        assert town.accepted(made) == 0
    else:
        town.until(made, "delivered")  # its report proved that it went
        assert town.accepted(made) == 1


def test_a_worker_that_is_killed_between_post_and_answer_sends_nothing_twice(town):
    town.emulator.misbehave({"kind": "slow", "path": "send/*", "seconds": 3, "times": 1})
    made = town.sms()
    town.emulator.until(lambda _: town.accepted(made) == 1)

    with town.engine.connect() as connection:
        query = text("SELECT worker FROM attempt WHERE message_id = :id")
        worker = connection.execute(query, {"id": made}).scalar_one()
    os.kill(int(worker.rpartition("/")[2]), signal.SIGKILL)  # one of our own fleet

    town.until(made, "delivered")
    assert town.accepted(made) == 1
