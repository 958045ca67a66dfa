"""PostgreSQL dies, freezes, loses connections, has no room, or its answers are lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

from sqlalchemy.exc import DBAPIError

from tests.faults.fault import CannotBeMade, Fault
from tests.faults.ground import PATIENCE_SECONDS, Ground
from tests.faults.line import Rule
from tests.support.process_table import descendants, wait_until

FROZEN_SECONDS = 20
ROOM_MB = 160
"""For the write-ahead log on a small disk: what PostgreSQL keeps of it, and room to work."""


def killed(town: Ground) -> None:
    town.postgres.kill()
    time.sleep(1)
    town.postgres.start()


def restarted(town: Ground) -> None:
    town.postgres.stop()
    time.sleep(1)
    town.postgres.start()


def connections_cut(town: Ground) -> None:
    for _ in range(5):
        town.sql("""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name LIKE 'kadencia%'
                      AND application_name <> 'kadencia judge'""")
        time.sleep(0.7)


def frozen(town: Ground) -> None:
    assert town.postgres.pid is not None
    pids = [town.postgres.pid, *descendants(town.postgres.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(FROZEN_SECONDS)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def commits_without_an_answer(town: Ground) -> None:
    _at_commits(town, forward=True)


def commits_that_never_come(town: Ground) -> None:
    _at_commits(town, forward=False)


def disk_full(town: Ground) -> None:
    """The write-ahead log lies on a disk of its own, which fills up in the midst of commits."""
    log = town.postgres.directory / "pg_wal"
    _move_to_small_disk(town, log)
    try:
        ballast = log / "ballast"
        _fill(ballast)
        wait_until(lambda: _fails(town), PATIENCE_SECONDS)
        time.sleep(3)
        ballast.unlink()
        town.postgres.stop()  # it ended by itself, or is waiting to be ended
        _move_back(town, log)
        town.postgres.start()
    finally:
        if log.is_mount():
            subprocess.run(["umount", "-l", str(log)], check=True)


def _at_commits(town: Ground, *, forward: bool) -> None:
    rules = [
        worker.postgres.on(Rule(b"COMMIT", forward=forward, times=8, after=number))
        for number, worker in enumerate(town.workers)
    ]
    wait_until(lambda: sum(rule.struck for rule in rules) >= 16, PATIENCE_SECONDS)
    for worker in town.workers:
        worker.postgres.restore()


def _move_to_small_disk(town: Ground, log: object) -> None:
    keep = town.root / "pg_wal.keep"
    town.postgres.stop()
    shutil.copytree(str(log), keep)
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_MB}m,mode=0700", "tmpfs", str(log)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        shutil.rmtree(keep)
        town.postgres.start()
        raise CannotBeMade("a small disk needs the right to mount one")
    _copy_in(town, keep, log)
    town.postgres.start()


def _move_back(town: Ground, log: object) -> None:
    keep = town.root / "pg_wal.keep"
    shutil.copytree(str(log), keep)
    subprocess.run(["umount", str(log)], check=True)
    for old in os.scandir(str(log)):
        shutil.rmtree(old.path) if old.is_dir() else os.unlink(old.path)
    _copy_in(town, keep, log)


def _copy_in(town: Ground, keep: object, log: object) -> None:
    shutil.copytree(str(keep), str(log), dirs_exist_ok=True)
    shutil.rmtree(str(keep))
    if town.postgres.run_as is not None:
        subprocess.run(["chown", "-R", "{}:{}".format(*town.postgres.run_as), str(log)], check=True)


def _fill(ballast: object) -> None:
    with open(str(ballast), "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            return


def _fails(town: Ground) -> bool:
    """Go through the log's files that are kept in stock, until a new one is wanted."""
    try:
        town.sql("CREATE TABLE IF NOT EXISTS filler (x int)")
        town.sql("INSERT INTO filler VALUES (1)")
        town.sql("SELECT pg_switch_wal()")
    except DBAPIError:
        return True
    return False


FAULTS = [
    Fault("PostgreSQL: SIGKILL", killed),
    Fault("PostgreSQL: restart", restarted),
    Fault("PostgreSQL: connections cut, five times", connections_cut),
    Fault("PostgreSQL: SIGSTOP for 20 s", frozen),
    Fault("PostgreSQL: no answer to COMMIT", commits_without_an_answer),
    Fault("PostgreSQL: COMMIT lost on its way", commits_that_never_come),
    Fault("PostgreSQL: disk full on commit", disk_full, alone=True),
]
