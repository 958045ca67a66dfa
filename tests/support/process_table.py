"""What runs on this machine, as /proc tells it."""

from __future__ import annotations

import os
import signal
import subprocess
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


def kill_tree(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGKILL) -> None:
    """Signal a process and all below it."""
    if process.poll() is not None:
        return
    for pid in (process.pid, *descendants(process.pid)):
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            continue
    if how is signal.SIGKILL:
        process.wait()


def descendants(pid: int) -> list[int]:
    """All processes below one, nearest first."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # gone meanwhile
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found[1:]
