"""Redis dies, forgets, freezes, is replaced or answers nobody."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.faults.fault import Fault
from tests.faults.ground import PATIENCE_SECONDS, Ground
from tests.faults.line import Rule
from tests.support.process_table import wait_until
from worker.embedded.directory import DataDirectory
from worker.embedded.valkey import EmbeddedValkey

FROZEN_SECONDS = 20


def killed(town: Ground) -> None:
    town.valkey.kill()
    time.sleep(2)
    town.valkey.start()


def killed_and_forgets(town: Ground) -> None:
    town.fill_windows()
    town.valkey.kill()
    shutil.rmtree(town.valkey.directory / "appendonlydir")
    town.valkey.start()


def flushed(town: Ground) -> None:
    with _client(town.valkey) as client:
        for _ in range(2):
            town.fill_windows()
            client.flushall()


def frozen(town: Ground) -> None:
    assert town.valkey.pid is not None
    os.kill(town.valkey.pid, signal.SIGSTOP)
    time.sleep(FROZEN_SECONDS)
    os.kill(town.valkey.pid, signal.SIGCONT)


def replaced_by_an_empty_one(town: Ground) -> None:
    with _second(town) as second:
        town.fill_windows()
        _lead_all_to(town, second)
        time.sleep(5)
        _lead_all_to(town, town.valkey)


def failed_over_to_a_replica_that_lags(town: Ground) -> None:
    """The replica stops hearing from the master two seconds before it is promoted."""
    to_master, _ = town.board.line_to("replication", town.valkey.url)
    with _second(town) as second, _client(second) as replica:
        replica.config_set("masterauth", town.data.secret("valkey"))
        replica.replicaof("127.0.0.1", to_master.port)
        wait_until(
            lambda: replica.info("replication")["master_link_status"] == "up", PATIENCE_SECONDS
        )
        town.fill_windows()
        to_master.stall()
        time.sleep(2)
        town.fill_windows()
        replica.replicaof("NO", "ONE")
        _lead_all_to(town, second)
        to_master.refuse()
        time.sleep(5)
        _lead_all_to(town, town.valkey)  # and that one lags as well


def two_masters(town: Ground) -> None:
    """One worker and one beat have another Redis than the rest."""
    with _second(town) as second:
        apart = (town.workers[1], town.beats[1])
        town.fill_windows()
        for one in apart:
            one.redis.lead_to(second.port)
        time.sleep(8)
        for one in apart:
            one.redis.lead_to(town.valkey.port)


def permit_without_an_answer(town: Ground) -> None:
    rules = [worker.redis.on(Rule(b"EVALSHA", forward=True, times=4)) for worker in town.workers]
    wait_until(lambda: sum(rule.struck for rule in rules) >= 6, PATIENCE_SECONDS)
    for worker in town.workers:
        worker.redis.restore()


def scripts_flushed(town: Ground) -> None:
    with _client(town.valkey) as client:
        for _ in range(5):
            client.script_flush()
            time.sleep(0.3)


@contextmanager
def _second(town: Ground) -> Iterator[EmbeddedValkey]:
    """An empty Valkey with the same password."""
    data = DataDirectory(town.root / "second")
    data.prepare()
    shutil.copy(town.data.path / "valkey.password", data.path / "valkey.password")
    server = EmbeddedValkey(data)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(data.path)


@contextmanager
def _client(server: EmbeddedValkey) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(server.url)
    try:
        yield client
    finally:
        client.close()


def _lead_all_to(town: Ground, server: EmbeddedValkey) -> None:
    for one in (*town.workers, *town.beats):
        one.redis.lead_to(server.port)


FAULTS = [
    Fault("Redis: SIGKILL, back with its AOF", killed),
    Fault("Redis: SIGKILL, back without its AOF", killed_and_forgets),
    Fault("Redis: FLUSHALL, twice", flushed),
    Fault("Redis: SIGSTOP for 20 s", frozen),
    Fault("Redis: replaced by an empty one, and back", replaced_by_an_empty_one),
    Fault("Redis: fail-over to a replica that lags, and back", failed_over_to_a_replica_that_lags),
    Fault("Redis: two masters for 8 s", two_masters),
    Fault("Redis: no answer to the permit script", permit_without_an_answer),
    Fault("Redis: SCRIPT FLUSH, five times", scripts_flushed),
]
