"""The gateway pushes its reports as well, and who takes them in dies; or nobody can be asked."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.fault import Fault
from tests.faults.ground import PATIENCE_SECONDS
from tests.faults.sms_town import SmsTown
from tests.faults.sms_verdict import settled
from tests.support.process_table import kill_tree, wait_until
from worker.eurosms_accounts import PUSH_PATH

SECRET = "a-path-that-nobody-guesses"
REPEAT_SECONDS = 1
KILLS = 3
LISTENING = re.compile(rb'\{"listening": "127\.0\.0\.1:(\d+)"\}')


class Receiver:
    """`kadencia eurosms push` behind a line, so that it has one address however often it starts."""

    def __init__(self, town: SmsTown) -> None:
        self._town = town
        self._process: subprocess.Popen[bytes] | None = None
        self.line = town.board.line("pushes", self._start())

    def restart(self) -> None:
        """Kill it, as when its machine dies, and start another."""
        self.kill()
        time.sleep(1)
        self.line.lead_to(self._start())

    def kill(self) -> None:
        assert self._process is not None
        kill_tree(self._process)

    def _start(self) -> int:
        log = self._town.fleet.log
        known = log.stat().st_size
        self._process = self._town.fleet.start("eurosms", "push", "--listen", "127.0.0.1:0")
        wait_until(lambda: LISTENING.search(log.read_bytes(), known), PATIENCE_SECONDS)
        found = LISTENING.search(log.read_bytes(), known)
        assert found is not None
        return int(found[1])


@contextmanager
def pushing(town: SmsTown, how: str) -> Iterator[Receiver]:
    """The gateway pushes each change of a segment until it is confirmed."""
    town.sql(
        "UPDATE eurosms_account SET push_secret = :digest",
        digest=hashlib.sha256(SECRET.encode()).digest(),
    )
    receiver = Receiver(town)
    url = f"http://127.0.0.1:{receiver.line.port}{PUSH_PATH}{SECRET}"
    more = {"format": how, "every_change": True, "repeat_seconds": REPEAT_SECONDS}
    town.emulator.control("push", {"url": url, **more})
    known = len(town.records.read())
    try:
        yield receiver
        wait_until(lambda: not _open(town, known), PATIENCE_SECONDS)
    finally:
        town.emulator.control("push", {"url": None})
        receiver.kill()
        receiver.line.refuse()


def _open(town: SmsTown, known: int) -> bool:
    """Whether a push still waits to be confirmed, of SMS beyond the first ones."""
    since = town.records.read()[known + 1 :]  # the first one may have come a moment too early
    segments = [segment for one in since for segment in one.event["segments"]]
    return any(town.records.confirmed[one["uuid"]] < len(one["told"]) for one in segments)


def receiver_killed(town: SmsTown) -> None:
    """Reports are pulled at the same time."""
    with pushing(town, "query") as receiver:
        for _ in range(KILLS):
            for name in town.offices:
                town.enqueue(name, 10)
            time.sleep(2)
            receiver.restart()


def nobody_can_be_asked(town: SmsTown) -> None:
    """What is pushed is all that is told, and it is told to somebody who dies."""
    broken = {"kind": "error-json", "path": "status/*"}
    with town.misbehaving(broken), pushing(town, "json") as receiver:
        keys = set().union(*(town.enqueue(name, 15) for name in town.offices))
        time.sleep(3)
        receiver.restart()
        wait_until(lambda: settled(town, keys), PATIENCE_SECONDS)


FAULTS = [
    Fault("SMS: pushed and pulled, receiver killed, three times", receiver_killed),
    Fault("SMS: pushed alone, receiver killed", nobody_can_be_asked),
]
