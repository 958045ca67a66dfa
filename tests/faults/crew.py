"""The processes of a town's fleet, each behind lines of its own."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

from tests.support.process_table import kill_tree

if TYPE_CHECKING:
    from tests.faults.ground import Ground

ENDED_SECONDS = 90
SLOTS = 2
"""Sending processes of each `kadencia worker`."""


class Worker:
    """One `kadencia worker` behind lines of its own, which can be started again and again."""

    def __init__(self, town: Ground, name: str, server: str) -> None:
        self.name, self.server = name, server
        self._fleet = town.fleet
        board = town.board
        self.postgres, self._database_url = board.line_to(f"{name}-postgres", town.database_url)
        self.redis, self._redis_url = board.line_to(f"{name}-redis", town.valkey.url)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        """Start it; it is ready when `Town.ready` says so."""
        urls = {"DATABASE_URL": self._database_url, "REDIS_URL": self._redis_url}
        words = self.words()
        self.process = self._fleet.start(*words, **{**urls, **environment})

    def words(self) -> tuple[str, ...]:
        return (
            *("worker", "--server", self.server, "--queues", "email"),
            *("--processes", str(SLOTS)),
        )

    def kill(self) -> None:
        """SIGKILL to it and to every process below it, as when a machine dies."""
        assert self.process is not None
        kill_tree(self.process)

    def drain(self) -> int:
        """SIGTERM, and wait for an ordered end."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(ENDED_SECONDS)


class Beat(Worker):
    """One `kadencia beat`."""

    def words(self) -> tuple[str, ...]:
        return ("beat",)
