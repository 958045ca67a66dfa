"""Child processes that never outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from worker.embedded import launch
from worker.embedded.errors import NotReady

POLL_SECONDS = 0.02
LAST_SECONDS = 5.0
"""Chosen: how long after `kill_signal` SIGKILL follows."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process, as the supervisor starts, watches and stops it.

    Attributes:
        name: shown before its lines.
        argv: program and arguments; everybody on the machine can read them, so no secrets.
        env: its whole environment.
        ready: returns when the process serves, raises `NotReady` while it does not; called
            in a thread, again and again, and must answer within seconds. None: at once.
        ready_seconds: how long it may take to become ready.
        then: runs once, in a thread, when it is ready for the first time; an error stops
            the whole start.
        stop_signal: asks it to end.
        stop_seconds: how long it may take, until `kill_signal` follows.
        kill_signal: ends it at once; if even that does not help, SIGKILL follows.
        death_signal: what the kernel sends it when its parent dies, in whatever way.
        run_as: uid and gid, without further groups; None: the parent's.
        cwd: its working directory; None: the parent's.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    ready: Callable[[], None] | None = None
    ready_seconds: float = 60.0
    then: Callable[[], None] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    kill_signal: signal.Signals = signal.SIGKILL
    death_signal: signal.Signals = signal.SIGTERM
    run_as: tuple[int, int] | None = None
    cwd: Path | None = None


def command(
    argv: Sequence[str], death_signal: signal.Signals, run_as: tuple[int, int] | None
) -> list[str]:
    """The same command, started through `launch.py`: for this process only, and its threads."""
    who = ("-", "-") if run_as is None else (str(run_as[0]), str(run_as[1]))
    launcher = (sys.executable, "-I", "-S", launch.__file__)
    return [*launcher, str(os.getpid()), str(int(death_signal)), *who, *argv]


def start(spec: ProcessSpec, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own: a terminal's Ctrl-C reaches only the parent.

    On Linux it ends with the *thread* that called this, in whatever way that ends.

    Args:
        spec: the process.
        output: takes what it writes, errors too; a file or `subprocess.PIPE`.
    """
    return subprocess.Popen(  # noqa: S603  argv is ours
        command(spec.argv, spec.death_signal, spec.run_as),
        env=dict(spec.env),
        cwd=spec.cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def wait_until_ready(spec: ProcessSpec, process: subprocess.Popen[bytes]) -> None:
    """Wait until it serves.

    Raises:
        NotReady: it ended, or did not serve within `ready_seconds`.
    """
    deadline = time.monotonic() + spec.ready_seconds
    while spec.ready is not None:
        if process.poll() is not None:
            raise NotReady(spec.name, f"it ended, {describe_exit(process.returncode)}")
        try:
            return spec.ready()
        except NotReady:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def stop(spec: ProcessSpec, process: subprocess.Popen[bytes]) -> None:
    """End a process, gently, then less so; returns when it is gone."""
    for one, seconds in stop_steps(spec):
        if process.poll() is None:
            process.send_signal(one)
        try:
            process.wait(seconds)
            return
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def stop_steps(spec: ProcessSpec, *, at_once: bool = False) -> list[tuple[signal.Signals, float]]:
    """The signals that end a process, each with the seconds until the next.

    Args:
        spec: the process.
        at_once: leave the gentle one out.
    """
    gentle = [] if at_once else [(spec.stop_signal, spec.stop_seconds)]
    return [*gentle, (spec.kill_signal, LAST_SECONDS), (signal.SIGKILL, LAST_SECONDS)]


def describe_exit(code: int) -> str:
    """How a process ended, in words.

    >>> describe_exit(-9)
    'killed by SIGKILL'
    >>> describe_exit(2)
    'exit code 2'
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-code}"
