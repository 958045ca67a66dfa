"""Two real beats and none that leads: each due task is swept once, also when one is killed."""

from __future__ import annotations

import json
import signal
import sys
import time
from base64 import b64decode
from collections import Counter

import pytest
import redis
from sqlalchemy import text

from settings.names import sweep_queue
from tests.support.fleet import Fleet
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_task
from worker.crashpoints import CrashPoint

pytestmark = pytest.mark.acceptance

TASKS = 20
LATEST_SECONDS = 15
"""What is promised when a beat dies."""


class Clockwork:
    """Two beats, tasks that can be made due, and what was published of their sweeps."""

    def __init__(self, engine, redis_url, fleet):
        self.engine, self.fleet = engine, fleet
        self.redis = redis.Redis.from_url(redis_url)
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company)
            for _ in range(TASKS):
                task = make_task(connection, company, account, next_run_at=None)
            # No worker takes the sweeps, so that they can be counted where they lie.
            connection.execute(
                text("""
                    INSERT INTO process (id, server_id, host, pid, version, slots, beat_at)
                    VALUES (gen_random_uuid(), :server, 'a.example', 1, '1', 2,
                        clock_timestamp() + interval '1 hour')"""),
                {"server": task.server_id},
            )
        self.beats = [fleet.beat(), fleet.beat()]
        wait_until(lambda: self.listening() == 2, 30)

    def listening(self):
        """How many beats are at work."""
        with self.engine.connect() as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            return connection.execute(text(query)).scalar_one()

    def published(self):
        """How often each sweep, by task and number, was published."""
        found = Counter()
        for raw in self.redis.lrange(sweep_queue("main"), 0, -1):
            args, _, _ = json.loads(b64decode(json.loads(raw)["body"]))
            found[tuple(args)] += 1
        return found

    def sweep_all(self, seconds):
        """Make every task due; how long it takes until a sweep of each is published."""
        before = self.published()
        began = time.monotonic()
        with self.engine.begin() as connection:
            connection.execute(
                text("""
                    UPDATE automatic_task SET next_run_at = clock_timestamp();
                    SELECT pg_notify('kadencia_task', id::text) FROM automatic_task""")
            )
        wait_until(lambda: len({one for one, _ in self.published() - before}) == TASKS, seconds)
        return time.monotonic() - began

    def sweep_numbers(self):
        """The number of the last sweep of each task, as the database knows it."""
        with self.engine.connect() as connection:
            return set(connection.execute(text("SELECT id, sweep_no FROM automatic_task")))


@pytest.fixture
def clockwork(engine, redis_url):
    with Fleet(engine, redis_url) as fleet:
        made = Clockwork(engine, redis_url, fleet)
        yield made
        made.redis.close()


def test_no_sweep_is_doubled_while_both_live_and_none_is_missed_when_one_is_killed(clockwork):
    both = [clockwork.sweep_all(10) for _ in range(5)]
    clockwork.fleet.end(clockwork.beats[0], signal.SIGKILL)
    alone = [clockwork.sweep_all(LATEST_SECONDS) for _ in range(5)]

    published = clockwork.published()
    assert set(published.values()) == {1}
    assert len(published) == 10 * TASKS
    assert clockwork.sweep_numbers() <= set(published)
    sys.stdout.write(f"latest of {TASKS} sweeps: both {max(both):.2f} s, one {max(alone):.2f} s\n")


@pytest.mark.slow
def test_what_a_beat_took_and_did_not_publish_is_swept_by_the_other_in_time(clockwork):
    (clockwork.fleet.crash_points / CrashPoint.BEAT_TAKEN).touch()

    took = clockwork.sweep_all(LATEST_SECONDS)

    assert sorted(one.poll() is None for one in clockwork.beats) == [False, True]
    assert set(clockwork.published().values()) == {1}
    sys.stdout.write(f"a beat was killed between taking and publishing: {took:.2f} s\n")
