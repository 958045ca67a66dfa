"""The stage of the demo: the product, a local SMTP server and an SMS gateway, each a process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from worker.cli.output import CommandError, Exit
from worker.embedded import processes
from worker.embedded.directory import DataDirectory, read_endpoints
from worker.embedded.processes import ProcessSpec

T = TypeVar("T")

KADENCIA = (sys.executable, "-P", "-m", "worker")
START_SECONDS = 60.0
"""Chosen: the first start makes a database, and slow machines are slow."""

UP = ("up", "--no-api", "--no-metrics")
"""Nobody asks them here, and the demo is to be quick."""

DEFERRED = "*@plna-schranka.example"
REFUSED = "nikto@zrusena.example"
FAULTS = (f"defer:{DEFERRED}:1", f"refuse:{REFUSED}")
"""One recipient's mailbox is full at the first try; another does not exist."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs.

    Attributes:
        directory: the demo's own: data, mails, logs.
        environment: for commands that talk to it.
        smtp_port: where the local SMTP server listens.
        gateway_url: where the emulator of the SMS gateway does.
        flower_url: where Flower shows the tasks.
    """

    directory: Path
    environment: Mapping[str, str]
    smtp_port: int
    gateway_url: str
    flower_url: str

    @property
    def mails(self) -> Path:
        """Where the SMTP server keeps what it gets."""
        return self.directory / "mails"

    @property
    def sms(self) -> Path:
        """Where the gateway writes down what it gets."""
        return self.directory / "sms.jsonl"

    def command(self, *arguments: str) -> list[str]:
        """A `kadencia` command as it is run."""
        return [*KADENCIA, *arguments]


@contextmanager
def stage(directory: Path) -> Iterator[Stage]:
    """Start all in a directory of the demo's own, which is emptied first, and end all.

    Raises:
        CommandError: something does not start; it names the log.
        EmbeddedError: the directory cannot be used, or holds something else.
    """
    _empty(directory)
    environment = {**os.environ, "KADENCIA_DATA": str(directory / "data")}
    for name in ("DATABASE_URL", "REDIS_URL", "KADENCIA_DATABASE_URL", "KADENCIA_REDIS_URL"):
        environment.pop(name, None)  # the demo must never write into an installation in use
    with ExitStack() as stack:
        sink = stack.enter_context(_running("smtp-sink", _sink(directory), directory, environment))
        gateway = stack.enter_context(
            _running("eurosms-emulator", _gateway(directory), directory, environment)
        )
        up = stack.enter_context(_running("up", UP, directory, environment))
        address = _wait(lambda: _said(directory / "smtp-sink.log", "listening"), sink, directory)
        url = _wait(
            lambda: _said(directory / "eurosms-emulator.log", "emulator"), gateway, directory
        )
        endpoints = _wait(lambda: read_endpoints(directory / "data"), up, directory)
        port = int(address.rpartition(":")[2])
        yield Stage(directory, environment, port, url, endpoints["flower_url"])


def _empty(directory: Path) -> None:
    data = DataDirectory(directory)
    data.prepare()  # refuses one that holds what is not ours
    with data.lock():
        for one in directory.iterdir():
            if one.is_dir():
                shutil.rmtree(one)
            elif one.name != "lock":
                one.unlink()


def _sink(directory: Path) -> list[str]:
    faults = [word for fault in FAULTS for word in ("--fault", fault)]
    mails, journal = directory / "mails", directory / "smtp.jsonl"
    return ["smtp-sink", "--directory", str(mails), "--journal", str(journal), *faults]


def _gateway(directory: Path) -> list[str]:
    return ["eurosms-emulator", "--records", str(directory / "sms.jsonl")]


@contextmanager
def _running(
    name: str, arguments: Sequence[str], directory: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    spec = ProcessSpec(
        name=name,
        argv=(*KADENCIA, *arguments),
        env=environment,
        stop_seconds=60,
        death_signal=signal.SIGTERM,
    )
    with (directory / f"{name}.log").open("wb") as log:
        process = processes.start(spec, log)
    try:
        yield process
    finally:
        processes.stop(spec, process)


def _wait(found: Callable[[], T | None], process: subprocess.Popen[bytes], directory: Path) -> T:
    deadline = time.monotonic() + START_SECONDS
    while (there := found()) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            raise CommandError(f"it did not start; the logs are in {directory}", Exit.FAILED)
        time.sleep(0.05)
    return there


def _said(log: Path, name: str) -> str | None:
    """What a server says of itself in its first line; None as long as it has not."""
    line, end, _ = log.read_text().partition("\n")
    return str(json.loads(line)[name]) if end else None
