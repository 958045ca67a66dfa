"""Processes of the fleet are killed while SMS are sent and reports are taken in."""

from __future__ import annotations

import os
import signal
import threading

from settings import load
from tests.faults import processes_die
from tests.faults.crew import SLOTS
from tests.faults.fault import Fault
from tests.faults.ground import PATIENCE_SECONDS
from tests.faults.processes_die import killed_at
from tests.faults.sms_town import SmsTown
from tests.support.process_table import wait_until
from worker import db
from worker.crashpoints import CrashPoint
from worker.sms.polling import Poller

POINTS = {
    CrashPoint.SWEEP_LEASED: 0,
    CrashPoint.SWEEP_HALF_PUBLISHED: 0,
    CrashPoint.CLAIMED: 1,
    CrashPoint.PERMITTED: 1,
    CrashPoint.ANSWERED: 1,
    CrashPoint.SETTLED: 0,
}
"""How many unknowns each leaves."""
POLLERS, TURNS = 4, 5


def between_post_and_answer(town: SmsTown) -> None:
    """The gateway has an SMS whose sender dies before it hears so."""
    slow = {"kind": "slow", "path": "send/*", "seconds": 3, "times": 1}
    with town.misbehaving(slow):
        known = len(town.records.read())
        for name in town.offices:
            town.enqueue(name, 5)
        wait_until(lambda: town.struck() == 1, PATIENCE_SECONDS)
        os.kill(_sender(town, known), signal.SIGKILL)  # one of our own fleet


def _sender(town: SmsTown, known: int) -> int:
    """Whose SMS the gateway has accepted without having answered yet: the pid."""
    keys = [one.key for one in town.records.read()[known:]]
    rows = town.sql(
        """SELECT a.worker FROM attempt a JOIN message m ON m.id = a.message_id
        WHERE m.message_id = ANY (:keys) AND a.state = 'open' ORDER BY a.opened_at""",
        keys=keys,
    )
    assert rows, "all that the gateway accepted was answered"
    return int(rows[0].worker.rpartition("/")[2])


def poller_before_it_asks(town: SmsTown) -> None:
    _kill_poller(town, CrashPoint.POLL_ASKED)


def poller_with_reports(town: SmsTown) -> None:
    """It dies with reports that the gateway will not give again but to its trxid."""
    _kill_poller(town, CrashPoint.POLL_ANSWERED)


def _kill_poller(town: SmsTown, point: CrashPoint) -> None:
    killed_at(point)(town)
    in_hand = town.poll_row().trxid
    assert in_hand is not None, "the poller died and left no trxid"
    for name in town.offices:
        town.enqueue(name, 10)
    wait_until(lambda: town.poll_row().trxid != in_hand, PATIENCE_SECONDS)
    town.records.read()
    assert in_hand in town.records.trxids, "the trxid in hand was thrown away"


def many_pollers(town: SmsTown) -> None:
    """Beside those of the fleet, some ask at the same moments, as if they knew of nobody."""
    settings = load({"DATABASE_URL": town.database_url, "REDIS_URL": town.valkey.url})
    engine = db.make_engine(town.database_url, name="pollers", pool_size=POLLERS)
    together = threading.Barrier(POLLERS)

    def ask() -> None:
        poller = Poller(engine, town.vault, settings)
        for _ in range(TURNS):
            together.wait()
            poller.poll(town.poll_id)

    for name in town.offices:
        town.enqueue(name, 20)
    threads = [threading.Thread(target=ask) for _ in range(POLLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.dispose()


FAULTS = [
    *(
        Fault(f"SMS: SIGKILL at {point}", killed_at(point), unknowns=unknowns)
        for point, unknowns in POINTS.items()
    ),
    Fault("SMS: SIGKILL between POST and answer", between_post_and_answer, unknowns=1),
    Fault("SMS: poller killed at poll-asked", poller_before_it_asks, unknowns=SLOTS),
    Fault("SMS: poller killed at poll-answered", poller_with_reports, unknowns=SLOTS),
    Fault("SMS: four more pollers at once", many_pollers),
    Fault("SMS: SIGKILL of a whole worker", processes_die.one_worker, unknowns=SLOTS),
    Fault("SMS: SIGKILL of all workers", processes_die.all_workers, unknowns=2 * SLOTS),
    Fault("SMS: SIGKILL of both beats", processes_die.both_beats),
    Fault("SMS: SIGTERM of each worker in turn", processes_die.rolling_deploy),
]
