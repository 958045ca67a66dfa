"""A worker tells systemd that it lives while its processes answer their canaries."""

from __future__ import annotations

import os
import socket
import threading
import uuid

import pytest

from worker import registry
from worker.fleet import canaries
from worker.fleet.canaries import Canaries
from worker.registry import WorkerProcess
from worker.watchdog import watchdog


@pytest.fixture
def systemd(tmp_path):
    """Systemd's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


@pytest.fixture
def worker(engine):
    known = WorkerProcess(uuid.uuid4(), "main", "host", 1, "1.0", 2)
    registry.beat(engine, known)
    return known


def test_systemd_hears_of_a_worker_whose_processes_listen(engine, worker, systemd, monkeypatch):
    monkeypatch.setattr(canaries, "INTERVAL_SECONDS", 0.05)
    ends = threading.Event()

    def publish(name, args, queue):
        registry.answer_canary(engine, worker.id, args[1])

    thread = Canaries(
        engine, worker, publish, lambda *_: None, watchdog(systemd.getsockname()), ends
    )
    thread.start()

    assert systemd.recv(100) == b"WATCHDOG=1"
    assert systemd.recv(100) == b"WATCHDOG=1"
    ends.set()
    thread.join(5)


def test_a_deaf_process_is_renewed_and_systemd_hears_nothing(engine, worker, systemd, monkeypatch):
    monkeypatch.setattr(canaries, "INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr("worker.core.listening.DEAF_SECONDS", -1.0)
    ends, renewed = threading.Event(), []

    def renew(part, why):
        renewed.append((part, why))
        if len(renewed) == 6:
            ends.set()

    thread = Canaries(
        engine, worker, lambda *_, **__: None, renew, watchdog(systemd.getsockname()), ends
    )
    thread.start()
    thread.join(10)

    assert {part for part, _ in renewed} == {"control", "send"}
    systemd.setblocking(False)
    heard = 0
    while True:
        try:
            systemd.recv(100)
        except BlockingIOError:
            break
        heard += 1
    assert heard <= 1, "only in the first round, before anybody was asked"


@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all", "@kadencia-nobody"])
def test_without_systemd_nothing_happens(address):
    watchdog(address)()


def test_a_probe_sees_it_from_the_time_of_a_file(tmp_path):
    file = tmp_path / "alive"
    alive = watchdog(None, file)

    alive()
    os.utime(file, (0, 0))
    alive()

    assert file.stat().st_mtime > 0


def test_a_directory_that_is_not_there_harms_nobody(tmp_path):
    watchdog(None, tmp_path / "none" / "alive")()
