"""Redis with Sentinel: a fail-over in mid-load loses nothing, doubles nothing, exceeds nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from itertools import pairwise

import pytest
import redis
from redis.sentinel import MasterNotFoundError
from sqlalchemy import text

from settings import load
from tests.support.debian_servers import RedisSentinel, RedisServer
from tests.support.fleet import QUICK, Fleet
from tests.support.judge import judge
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.services import service_directory
from tests.support.sink import SinkProcess
from worker import db, redis_servers
from worker.audit.rate import audit_rate
from worker.bootstrap import make_throttle
from worker.doctor import Installation, Level, brokers
from worker.vault import Vault

pytestmark = pytest.mark.acceptance

WINDOW_SECONDS = 10
LIMIT = 160
MESSAGES = 200
RESUMED_SECONDS = 60
"""What every fault is allowed to cost."""
TIMES = {
    "KADENCIA_WINDOW_SECONDS": str(WINDOW_SECONDS),
    "KADENCIA_BURST_SECONDS": "2",
    "KADENCIA_QUANTUM_SECONDS": "0.2",
    "KADENCIA_RELEASED_DEADLINE_SECONDS": "3",
    "KADENCIA_SENTINEL_PASSWORD": "strazca",
}


class Town:
    """Two Redis servers and the three Sentinels that watch them."""

    def __init__(self, stack, directory):
        self.servers = [
            RedisServer(directory / f"redis-{n}", ["requirepass tajne", "masterauth tajne"])
            for n in (1, 2)
        ]
        first, second = self.servers
        for server in self.servers:
            stack.enter_context(server)
        with closing(with_password(second)) as client:
            client.replicaof("127.0.0.1", first.port)
        watch = [
            f"sentinel monitor kadencia 127.0.0.1 {first.port} 2",
            "sentinel auth-pass kadencia tajne",
            "sentinel down-after-milliseconds kadencia 1500",
            "sentinel failover-timeout kadencia 6000",
            "requirepass strazca",
        ]
        self.sentinels = [RedisSentinel(directory / f"sentinel-{n}", watch) for n in (1, 2, 3)]
        for sentinel in self.sentinels:
            stack.enter_context(sentinel)
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://:tajne@{hosts}/kadencia/0"
        self.settings = load({"REDIS_URL": self.url, **TIMES})
        wait_until(self.is_watched, 30)

    def is_watched(self):
        """Whether each Sentinel knows the others and the replica."""
        with closed(redis_servers.sentinel(self.settings)) as sentinels:
            found = [one.sentinel_masters().get("kadencia", {}) for one in sentinels.sentinels]
        return all((m["num-slaves"], m["num-other-sentinels"]) == (1, 2) for m in found)

    def master(self):
        """Which server the Sentinels lead to; None while they do not agree on one."""
        with closed(redis_servers.sentinel(self.settings)) as sentinels:
            try:
                found = sentinels.discover_master("kadencia")
            except MasterNotFoundError:
                return None
        return next(one for one in self.servers if one.port == found[1])


@contextmanager
def closed(sentinels):
    """Sentinels whose connections are closed in the end."""
    try:
        yield sentinels
    finally:
        for one in sentinels.sentinels:
            one.close()


def with_password(server):
    return redis_servers.client(load({"REDIS_URL": f"redis://:tajne@127.0.0.1:{server.port}/0"}))


def replication(server):
    """What a server says of its part; nothing while it does not answer."""
    with closing(with_password(server)) as client:
        try:
            return client.info("replication")
        except redis.RedisError:
            return {}


@pytest.fixture
def town():
    with ExitStack() as stack:
        yield Town(stack, stack.enter_context(service_directory()))


@pytest.fixture
def sink():
    with SinkProcess() as running:
        yield running


def backlog(engine, sink):
    """Two tasks on two OAC servers share one account; the Message-IDs that were enqueued."""
    with engine.begin() as connection:
        company = make_company(connection)
        account = make_account(
            connection, company, port=sink.port, most_connections=8, hourly_limit=LIMIT
        )
        for server in ("main", "second"):
            task = make_task(connection, company, account, server=server, cadence=100)
            for number in range(MESSAGES // 2):
                make_message(connection, task, recipients=[f"r{number}@firma.example"])
        return set(connection.execute(text("SELECT message_id FROM message")).scalars())


def longest_silence_seconds(journal, since_us):
    """The longest time without a final dot after a moment."""
    dots = sorted(entry["dot_us"] for entry in journal if entry["dot_us"])
    later = [since_us, *(dot for dot in dots if dot > since_us)]
    return max(b - a for a, b in pairwise(later)) / 1e6


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(signal.SIGKILL, id="the master is killed and comes back"),
        # Nothing refuses a connection to it: what waits for it does so until its time is over.
        pytest.param(
            signal.SIGSTOP,
            id="the master is cut off and still thinks it is one",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_fail_over_in_mid_load_costs_nothing_but_time(how, engine, town, sink, record_property):
    enqueued = backlog(engine, sink)
    with Fleet(engine, town.url, **TIMES) as fleet:
        fleet.beat()
        fleet.worker("main", processes=3)
        fleet.worker("second", processes=3)
        wait_until(lambda: len(sink.journal()) >= 50, 40)
        old = town.master()
        assert told_by_the_doctor(engine, town) == []

        failed_us = time.time_ns() // 1000
        old.signal(how)
        wait_until(lambda: town.master() not in (None, old), 20)
        wait_until(lambda: len(sink.journal()) >= 120, 60)
        come_back(old, how)
        states = fleet.settled(90)

        assert states == {"sent": MESSAGES}
        told = told_by_workers(fleet)
        assert not [secret for secret in ("strazca", "tajne") if secret in told]
    journal = sink.journal()
    found = judge(engine, journal, enqueued, WINDOW_SECONDS * 1_000_000)
    assert (found.lost, found.doubled, found.accepted) == (0, 0, MESSAGES)
    assert found.worst <= LIMIT
    assert audited(engine).exceeded == ()
    silence = longest_silence_seconds(journal, failed_us)
    record_property("silence_seconds", round(silence, 1))
    record_property("worst_window", found.worst)
    assert silence < RESUMED_SECONDS


def told_by_the_doctor(engine, town):
    """What it says of Redis and Sentinels, if that is not that all is well."""
    throttle = make_throttle(town.settings)
    pool = throttle.client.connection_pool
    with closing(throttle.client), closed(pool.sentinel_manager):
        seen = list(
            brokers.carriers(
                Installation(town.settings, engine, throttle.client, throttle, Vault([]))
            )
        )
    return [one for one in seen if one.level is not Level.OK]


def told_by_workers(fleet):
    """What workers, and Flower after them, show of their settings to those who ask."""
    asking = [sys.executable, "-m", "celery", "-A", "worker.app", "inspect", "--json"]
    told = ""
    for what in ("stats", "conf"):
        done = subprocess.run(
            [*asking, what], env=fleet.environment, capture_output=True, text=True
        )
        assert '"master_name": "kadencia"' in done.stdout, done.stderr
        told += done.stdout
    return told


def audited(engine):
    """The audit of the rate, from the attempts in PostgreSQL."""
    with engine.connect() as connection:
        now = db.now(connection)
        return audit_rate(
            connection,
            now - timedelta(hours=1),
            now,
            timedelta(seconds=WINDOW_SECONDS),
            dot_by=timedelta(seconds=float(QUICK["KADENCIA_DOT_BY_SECONDS"])),
            handover_max=timedelta(seconds=6),
        )


def come_back(server, how):
    """The old master is there again, and a replica of the new one in the end."""
    if how is signal.SIGSTOP:
        server.signal(signal.SIGCONT)
    else:
        server.kill()
        server.start()
    wait_until(lambda: replication(server).get("role") == "slave", 30)


def test_the_doctor_names_what_a_fail_over_would_lack(engine, town):
    town.sentinels[0].kill()
    town.servers[1].kill()
    wait_until(lambda: replication(town.servers[0]).get("connected_slaves") == 0, 20)

    told = {one.name: one.what for one in told_by_the_doctor(engine, town)}

    assert f"sentinel 127.0.0.1:{town.sentinels[0].port}" in told
    assert "no replica" in told["redis replication"]
