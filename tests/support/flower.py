"""A running `kadencia flower`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests

from tests.support.fleet import Fleet
from tests.support.process_table import wait_until

PASSWORD = "tajomstvo-flower"
START_SECONDS = 60
"""A cold start on two busy cores."""


@dataclass(frozen=True)
class RunningFlower:
    """Where it is."""

    url: str
    process: subprocess.Popen[bytes]

    def get(self, path: str, password: str | bytes | None = PASSWORD) -> requests.Response:
        """Ask for a page, as the user kadencia with that password; None: as nobody."""
        auth = None if password is None else (b"kadencia", _octets(password))
        return requests.get(self.url + path, auth=auth, timeout=15)


@contextmanager
def running_flower(fleet: Fleet) -> Iterator[RunningFlower]:
    """Start one in a fleet, on a port of its own; it ends with the fleet."""
    process = fleet.start("flower", "--port", "0", KADENCIA_FLOWER_PASSWORD=PASSWORD)

    def told() -> list[str]:
        lines = fleet.log.read_text(errors="replace").splitlines()
        assert process.poll() is None, lines[-20:]
        return [line for line in lines if '"listening"' in line]

    wait_until(lambda: bool(told()), START_SECONDS)
    yield RunningFlower(f"http://{json.loads(told()[-1])['listening']}", process)


def _octets(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
