"""Many processes of one machine, started, kept alive and stopped as one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.process_table import processes_about, wait_until

Start = Callable[..., "Run"]


class Run:
    """A supervisor at work."""

    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        self.process = process
        self.directory = directory

    def events(self) -> list[str]:
        file = self.directory / "events"
        return file.read_text().splitlines() if file.exists() else []

    def children(self) -> dict[int, str]:
        found = processes_about(self.directory)
        return {pid: line for pid, line in found.items() if pid != self.process.pid}

    def wait_until_started(self) -> None:
        wait_until((self.directory / "started").exists)

    def end(self, *signals: int) -> tuple[int, list[str]]:
        """Send signals, wait for the end; the exit code and the lines."""
        for one in signals:
            self.process.send_signal(one)
        output, _ = self.process.communicate(timeout=20)
        return self.process.returncode, output.splitlines()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(*processes: str, log_format: str = "text") -> Run:
            command = [sys.executable, "-m", "tests.support.supervised", str(tmp_path), log_format]
            process = subprocess.Popen([*command, *processes], stdout=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return Run(process, tmp_path)

        yield begin
    wait_until(lambda: not processes_about(tmp_path))


@pytest.mark.parametrize("word", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_starts_when_the_one_before_serves_and_they_stop_in_reverse(start, word):
    run = start("first=plain", "second=plain", "third=plain")
    run.wait_until_started()

    code, _ = run.end(word)

    assert code == 0
    assert run.events() == [
        *("first starts", "first serves"),
        *("second starts", "second serves"),
        *("third starts", "third serves"),
        *("third ends", "second ends", "first ends"),
    ]


def test_one_that_is_killed_starts_again_and_the_others_go_on(start):
    run = start("first=plain", "second=plain")
    run.wait_until_started()
    pids = {line.split()[-2]: pid for pid, line in run.children().items()}

    os.kill(pids["second"], signal.SIGKILL)
    wait_until(lambda: run.events().count("second serves") == 2)
    code, lines = run.end(signal.SIGTERM)

    assert code == 0
    assert run.events().count("first starts") == 1
    assert any("second ended, killed by SIGKILL; again in" in line for line in lines)


def test_one_that_dies_again_and_again_is_started_ever_later_but_never_given_up(start):
    run = start("first=fickle", "second=plain")
    run.wait_until_started()

    wait_until(lambda: run.events().count("first starts") >= 4, seconds=20)
    code, lines = run.end(signal.SIGTERM)

    assert code == 0
    waits = [float(line.split()[-2]) for line in lines if "again in" in line]
    assert all(0.5 * 2**n <= wait + 0.05 and wait <= 2**n + 0.05 for n, wait in enumerate(waits)), (
        waits
    )


def test_a_supervisor_killed_with_9_leaves_no_orphan(start):
    run = start("first=plain", "second=deaf")
    run.wait_until_started()
    assert len(run.children()) == 2

    run.process.kill()

    wait_until(lambda: not run.children(), seconds=5)


def test_one_that_cannot_start_stops_all_with_one_line_of_error(start):
    run = start("first=plain", "second=broken", "third=plain")

    code, lines = run.end()

    assert code == 1
    assert lines[-2:] == [
        "second | no configuration",
        "kadencia | second is not ready: it ended, exit code 3",
    ]
    assert run.events() == ["first starts", "first serves", "first ends"]
    assert not (run.directory / "started").exists()


def test_a_second_ctrl_c_kills_at_once(start):
    run = start("first=plain", "second=deaf")
    run.wait_until_started()
    before = time.monotonic()

    run.process.send_signal(signal.SIGINT)
    time.sleep(0.7)
    assert len(run.children()) == 2
    code, _ = run.end(signal.SIGINT)

    assert code == 1
    assert time.monotonic() - before < 5


def test_a_ctrl_c_that_comes_double_is_one(start):
    run = start("first=plain")
    run.wait_until_started()

    code, _ = run.end(signal.SIGINT, signal.SIGINT)

    assert code == 0
    assert run.events()[-1] == "first ends"


def test_a_grandchild_that_holds_on_does_not_hide_the_death_of_its_parent(start):
    run = start("first=parent")
    run.wait_until_started()
    wait_until(lambda: "first grandchild" in run.events())
    children = run.children()
    parent = min(children)

    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: run.events().count("first starts") == 2)
    code, _ = run.end(signal.SIGTERM)

    assert code == 0
    for pid in run.children():  # ours to clear away: a pool process bonds itself to its master
        os.kill(pid, signal.SIGKILL)


def test_a_stop_in_the_middle_of_the_start_is_an_ordered_one(start):
    run = start("first=plain", "second=plain")
    wait_until(lambda: "first starts" in run.events())

    code, _ = run.end(signal.SIGTERM)

    assert code == 0
    assert run.events()[-1] == "first ends"
    assert "second starts" not in run.events()


def test_every_line_says_which_process_wrote_it(start):
    run = start("first=plain")
    run.wait_until_started()

    _, lines = run.end(signal.SIGTERM)

    assert lines[0].startswith("first | hello from ")
    assert all(line.split(" | ")[0] in {"first", "kadencia"} for line in lines)


def test_in_json_every_line_is_an_object_that_names_its_process(start):
    run = start("first=json", log_format="json")
    run.wait_until_started()

    _, lines = run.end(signal.SIGTERM)

    entries = [json.loads(line) for line in lines]
    assert {entry["process"] for entry in entries} == {"first", "kadencia"}
    assert entries[1] == {"event": "tick", "level": "info", "process": "first"}
    assert entries[0]["line"].startswith("hello from ")
