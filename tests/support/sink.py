"""The sink as a process of a test's own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from worker.embedded import processes


class SinkProcess:
    """`python -m worker.smtp_sink` on a free port, with its files in a temporary directory.

    Attributes:
        port: where it listens on 127.0.0.1.
        directory: with the kept mails.
        journal_path: a line of JSON for each transaction.
    """

    def __init__(self, *arguments: str, faults: Iterable[str] = ()) -> None:
        self._files = tempfile.TemporaryDirectory(prefix="sink-")
        base = Path(self._files.name)
        self.directory = base / "mails"
        self.journal_path = base / "journal.jsonl"
        command = [sys.executable, "-m", "worker.smtp_sink"]
        command += ["--directory", str(self.directory), "--journal", str(self.journal_path)]
        for fault in faults:
            command += ["--fault", fault]
        self._process = subprocess.Popen(
            processes.command([*command, *arguments], signal.SIGTERM, None),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()  # empty if it ended; its words are on stderr
        if not line:
            self.stop()
            raise RuntimeError(f"the sink ended with {self._process.returncode}")
        self.port = int(json.loads(line)["listening"].rpartition(":")[2])

    def __enter__(self) -> SinkProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def journal(self) -> list[dict[str, Any]]:
        """The transactions that have ended, in that order."""
        if not self.journal_path.exists():
            return []
        return [json.loads(line) for line in self.journal_path.read_text().splitlines()]

    def mails(self) -> list[bytes]:
        """The kept mails, in the order in which their final dots came."""
        return [path.read_bytes() for path in sorted(self.directory.glob("[0-9]*.eml"))]

    def halt(self) -> int:
        """End the process and leave its files to be read; the exit code."""
        self._process.terminate()
        try:
            return self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def stop(self) -> None:
        """End the process and remove its files."""
        self.halt()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._files.cleanup()
