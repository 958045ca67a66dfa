"""Processes of the fleet are killed, or told to end."""

from __future__ import annotations

import time
from contextlib import ExitStack

from tests.faults.crew import SLOTS
from tests.faults.fault import Fault, Strike
from tests.faults.ground import PATIENCE_SECONDS, Ground
from tests.faults.line import DOT, Rule
from tests.faults.town import Town
from tests.support.process_table import kill_tree, wait_until
from worker.crashpoints import CrashPoint

UNCERTAIN = {
    CrashPoint.CLAIMED,
    CrashPoint.PERMITTED,
    CrashPoint.BEFORE_MAIL,
    CrashPoint.BEFORE_DATA,
    CrashPoint.DOT_SENT,
    CrashPoint.ANSWERED,
}
"""Killed there, nobody knows whether the mail went."""

OF_SMS = {CrashPoint.POLL_ASKED, CrashPoint.POLL_ANSWERED}

TRUE_TIMES = {
    "KADENCIA_HEARTBEAT_SECONDS": "5",
    "KADENCIA_SILENT_AFTER_SECONDS": "30",
    "KADENCIA_RECOVER_SECONDS": "15",
    "KADENCIA_RELEASED_DEADLINE_SECONDS": "40",
    "KADENCIA_ANSWER_TIMEOUT_SECONDS": "60",
    "KADENCIA_SENDING_DEADLINE_SECONDS": "150",
}
"""The product's own, but for the last two: they only have to be beyond the time to resume."""


def killed_at(point: CrashPoint) -> Strike:
    """Whoever reaches a point first dies there."""

    def strike(town: Ground) -> None:
        armed = town.fleet.crash_points / point
        armed.touch()
        for name in town.offices:
            town.enqueue(name, 5)
        wait_until(lambda: not armed.exists(), PATIENCE_SECONDS)

    return strike


def one_worker(town: Ground) -> None:
    """As when its machine dies."""
    town.workers[0].kill()
    time.sleep(2)
    town.workers[0].start()


def all_workers(town: Ground) -> None:
    for worker in town.workers:
        worker.kill()
    time.sleep(2)
    for worker in town.workers:
        worker.start()


def all_in_mid_dialogue(town: Town) -> None:
    """All connections of both accounts are in a dialogue, and nobody is left to end it."""
    town.sql("UPDATE account SET most_connections = :slots", slots=SLOTS)
    with ExitStack() as stack:
        silent = [Rule(DOT, hang_up=False, times=None) for _ in town.smtp_lines]
        for line, rule in zip(town.smtp_lines, silent, strict=True):
            stack.enter_context(line.troubled(rule))
        wait_until(lambda: all(rule.struck >= SLOTS for rule in silent), PATIENCE_SECONDS)
        for worker in town.workers:
            worker.kill()
    for worker in town.workers:
        worker.start()


def both_beats(town: Ground) -> None:
    for beat in town.beats:
        assert beat.process is not None
        kill_tree(beat.process)
    time.sleep(5)
    for beat in town.beats:
        beat.start()


def rolling_deploy(town: Ground) -> None:
    for worker in town.workers:
        assert worker.drain() == 0
        worker.start()
        town.ready()


FAULTS = [
    *(
        Fault(f"SIGKILL at {point}", killed_at(point), unknowns=int(point in UNCERTAIN))
        for point in CrashPoint
        if point not in OF_SMS
    ),
    Fault("SIGKILL of a whole worker", one_worker, unknowns=SLOTS),
    Fault("SIGKILL of all workers at once", all_workers, unknowns=3 * SLOTS),
    Fault(
        "SIGKILL of all in mid-dialogue, at true times",
        all_in_mid_dialogue,
        unknowns=3 * SLOTS,
        alone=True,
        times=TRUE_TIMES,
    ),
    Fault("SIGKILL of both beats", both_beats),
    Fault("SIGTERM of each worker in turn (deploy)", rolling_deploy),
]
