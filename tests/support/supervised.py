"""Runs the supervisor over small processes that tell what happens to them.

As a script: `python -m tests.support.supervised DIRECTORY FORMAT NAME=KIND …`. Each process
appends to `DIRECTORY/events` what it does.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from worker.embedded.errors import NotReady
from worker.embedded.processes import ProcessSpec
from worker.fleet.supervisor import run

CHILD = """
import os, signal, sys, time
from pathlib import Path
directory, name, kind = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
def note(what):
    with (directory / "events").open("a") as file:
        file.write(f"{name} {what}\\n")
def end(number, frame):
    note("ends")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if kind == "deaf" else end)
if kind == "broken":
    print("no configuration", flush=True)
    sys.exit(3)
note("starts")
print("hello from", os.getpid(), flush=True)
if kind == "json":
    print('{"event": "tick", "level": "info"}', flush=True)
if kind == "fickle":
    sys.exit(4)
time.sleep(0.3)
note("serves")
(directory / f"{name}.ready").touch()
if kind == "parent" and os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("grandchild")
while True:
    time.sleep(0.1)
"""


def spec(directory: Path, name: str, kind: str) -> ProcessSpec:
    """One process of that kind."""

    def ready() -> None:
        if not (directory / f"{name}.ready").exists():
            raise NotReady(name, "no sign of it")

    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-c", CHILD, str(directory), name, kind),
        env={"PATH": os.defpath},
        ready=None if kind == "fickle" else ready,
        ready_seconds=2,
        stop_seconds=30 if kind == "deaf" else 1,
        death_signal=signal.SIGKILL,
    )


def main(directory: Path, log_format: str, *processes: str) -> int:
    """Supervise them; the file `started` tells that all are ready."""
    return run(
        [spec(directory, *one.split("=")) for one in processes],
        log_format="json" if log_format == "json" else "text",
        out=sys.stdout,
        on_started=(directory / "started").touch,
    )


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # however the tests were started, nohup included
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
