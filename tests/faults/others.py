"""Workers that are cut off or have a wrong clock, and people who change things in mid-flight."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from celery import Celery

from settings.names import Task, sweep_queue
from tests.faults.fault import CannotBeMade, Fault, Strike
from tests.faults.line import Line
from tests.faults.town import LIMITS, Town
from tests.support.process_table import wait_until
from worker.outbox import people

CUT_SECONDS = 15
LEAST = {"task": 100}
"""A cadence is never less."""
FULL, AHEAD, BEHIND = "sever.example", 5000, 60


def _cut_off(which: Callable[[Town], Line], how: Callable[[Line], None]) -> Strike:
    """One worker alone loses a server; the others go on."""

    def strike(town: Town) -> None:
        with which(town).troubled() as line:
            how(line)
            time.sleep(CUT_SECONDS)

    return strike


def _clock_is_off(seconds: int) -> Strike:
    def strike(town: Town) -> None:
        library = next(Path("/usr/lib").rglob("libfaketimeMT.so.1"), None)
        if library is None:
            raise CannotBeMade("it needs Debian's package faketime")
        town.workers[1].drain()
        town.workers[1].start(
            LD_PRELOAD=str(library),
            FAKETIME=f"{seconds:+d}s",
            DONT_FAKE_MONOTONIC="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )
        town.ready()
        for name in town.offices:
            town.enqueue(name, 40)
        time.sleep(12)  # two windows
        town.workers[1].drain()
        town.workers[1].start()

    return strike


def two_sweeps_at_once(town: Town) -> None:
    """Each sweep is published twice, for both control processes of the server."""
    task = town.offices["main"].task
    with Celery(broker=town.valkey.url, set_as_current=False) as app:
        for _ in range(30):
            rows = town.sql(
                """UPDATE automatic_task SET sweep_no = sweep_no + 1,
                    next_run_at = clock_timestamp() + interval '5 seconds'
                WHERE id = :id RETURNING sweep_no""",
                id=task.id,
            )
            for _ in range(2):
                args = [task.id, rows[0].sweep_no]
                app.send_task(Task.SWEEP, args=args, queue=sweep_queue("main"))
            time.sleep(0.1)


def moved_to_another_server(town: Town) -> None:
    task, other = town.offices["other"].task, town.offices["main"].task
    for server in (other.server_id, task.server_id):
        town.sql(
            "UPDATE automatic_task SET server_id = :server WHERE id = :id",
            server=server,
            id=task.id,
        )
        time.sleep(3)


def cadence_lowered(town: Town) -> None:
    was = [limit for limit in LIMITS if limit.kind != "task" or limit.of == "other"]
    for limit in was:
        town.limit(limit.kind, limit.of, max(limit.most // 2, LEAST.get(limit.kind, 1)))
    for name in town.offices:
        town.enqueue(name, 100)
    time.sleep(15)
    for limit in was:
        town.limit(limit.kind, limit.of, limit.most)


def paused_and_cancelled(town: Town) -> None:
    """What is paused is not claimed, and what is cancelled never goes."""
    task = town.offices["main"].task
    town.enqueue("main", 40)
    town.sql("UPDATE automatic_task SET active = false WHERE id = :id", id=task.id)
    ready = town.sql(
        "SELECT id FROM message WHERE lane_id = :lane AND state = 'ready' LIMIT 5",
        lane=task.lane_id,
    )
    with town.engine.begin() as connection:
        for row in ready:
            people.cancel(connection, row.id)
    time.sleep(1)
    claimed = "SELECT count(*) AS n FROM attempt WHERE task_id = :id"
    before = town.sql(claimed, id=task.id)[0].n
    time.sleep(4)
    after = town.sql(claimed, id=task.id)[0].n
    town.sql("UPDATE automatic_task SET active = true WHERE id = :id", id=task.id)
    assert after == before, f"{after - before} messages were claimed while the task was paused"


def one_domain_full(town: Town) -> None:
    """Thousands for one domain stand before the rest, which must not wait for them."""
    town.enqueue("other", AHEAD, domain=FULL, local="full")
    rest = town.enqueue("other", BEHIND, domain="juh.example")
    rest |= town.enqueue("other", BEHIND, domain="zapad.example")
    wait_until(lambda: set(town.states(rest).values()) == {"sent"}, 60)
    town.sql(
        """UPDATE message SET state = 'cancelled', settled_at = clock_timestamp()
        WHERE domain = :full AND state = 'ready'""",
        full=FULL,
    )


def _first_redis(town: Town) -> Line:
    return town.workers[0].redis


def _first_postgres(town: Town) -> Line:
    return town.workers[0].postgres


FAULTS = [
    Fault("one worker is refused by Redis", _cut_off(_first_redis, Line.refuse)),
    Fault("one worker hears nothing of Redis", _cut_off(_first_redis, Line.stall)),
    Fault("one worker is refused by PostgreSQL", _cut_off(_first_postgres, Line.refuse)),
    Fault("one worker hears nothing of PostgreSQL", _cut_off(_first_postgres, Line.stall)),
    Fault("a worker's clock is 60 s ahead", _clock_is_off(60)),
    Fault("a worker's clock is 60 s behind", _clock_is_off(-60)),
    Fault("two sweeps of a task at once", two_sweeps_at_once),
    Fault("a task moves to another OAC server", moved_to_another_server),
    Fault("cadence and domain limit lowered", cadence_lowered),
    Fault("task paused, messages cancelled", paused_and_cancelled),
    Fault("a domain is full, 5,000 ahead of the rest", one_domain_full),
]
