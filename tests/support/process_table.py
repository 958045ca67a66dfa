"""What runs on this machine, as /proc tells it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def processes_about(path: Path) -> dict[int, str]:
    """Pid and command line of each process that names a path or works below it; not ourselves."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = os.readlink(entry / "cwd")
            zombie = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:  # gone meanwhile
            continue
        pid = int(entry.name)
        if not zombie and pid != os.getpid() and (str(path) in words or str(path) in where):
            found[pid] = words
    return found


def uid_of(pid: int) -> int:
    """The user that a process runs as."""
    return Path(f"/proc/{pid}").stat().st_uid


def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for something that other processes do.

    Raises:
        AssertionError: it did not come true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
