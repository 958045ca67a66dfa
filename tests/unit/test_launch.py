"""A program that ends with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from worker.embedded import launch, processes

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the death signal")
SIGNALS = "import signal; print(signal.pthread_sigmask(0, []), signal.getsignal(signal.SIGHUP))"


def launched(*argv: str, parent: int | None = None) -> subprocess.CompletedProcess[str]:
    command = processes.command(argv, signal.SIGTERM, None)
    command[command.index(launch.__file__) + 1] = str(parent or os.getpid())
    return subprocess.run(command, capture_output=True, text=True, check=False)


@linux
def test_a_program_whose_parent_died_before_it_began_never_runs():
    done = launched("/bin/echo", "still here", parent=1)

    assert done.stdout == ""
    assert done.returncode == 1


def test_a_program_that_is_not_there_is_an_error_in_words():
    done = launched("/nowhere/program")

    assert done.returncode == 127
    assert done.stderr == "cannot run /nowhere/program: No such file or directory\n"


def test_signals_that_the_parent_blocks_or_ignores_reach_the_program():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        done = launched(sys.executable, "-c", SIGNALS)
    finally:
        signal.signal(signal.SIGHUP, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert done.stdout.split() == ["set()", "0"]
