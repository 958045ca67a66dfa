"""`kadencia up` on a data directory of a test's own, and what can be seen of it from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from sqlalchemy import text

from tests.support.process_table import processes_about, wait_until
from worker import db
from worker.embedded.directory import read_endpoints

PATIENCE_SECONDS = 30
"""A cold start on two busy cores."""


class Installation:
    """A data directory, and what `kadencia` says about it."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self.log = directory / "up.log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "KADENCIA_DATA": str(self.data),
            "KADENCIA_RECOVER_SECONDS": "1",  # canaries at once
        }
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "worker", *words],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    def up(self, *words: str, **variables: str) -> None:
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "worker", "up", "--processes", "1", *words],
                env=self.environment | variables,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        wait_until(self.runs, PATIENCE_SECONDS)

    def runs(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return read_endpoints(self.data) is not None

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        wait_until(lambda: not self.processes(), PATIENCE_SECONDS)

    def send(self, one: signal.Signals) -> int:
        """Signal it and wait for its end; its exit code."""
        assert self.process is not None
        self.process.send_signal(one)
        return self.process.wait(PATIENCE_SECONDS)

    def lines(self) -> str:
        return self.log.read_text()

    def processes(self) -> dict[int, str]:
        """All that belongs to it: by what it works on, or by its environment."""
        found = processes_about(self.data)
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if str(self.data).encode() in (entry / "environ").read_bytes():
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if words:  # else it is a zombie
                        found[int(entry.name)] = words
        return found

    def pid_of(self, words: str) -> int | None:
        assert self.process is not None
        return next(
            (
                pid
                for pid, line in self.processes().items()
                if words in line and "launch.py" not in line and pid != self.process.pid
            ),
            None,
        )

    def doctor(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.command("doctor", "--json").stdout)
        return found

    def endpoint(self, name: str) -> str:
        return (read_endpoints(self.data) or {})[name]

    def execute(self, statement: str) -> list[object]:
        engine = db.make_engine(self.endpoint("database_url"), name="tests")
        try:
            with engine.begin() as connection:
                result = connection.execute(text(statement))
                return list(result.scalars()) if result.returns_rows else []
        finally:
            engine.dispose()
