"""What runs every few seconds, over an outbox of a million messages: beat, recover, figures.

    python -m benchmarks.passes

Two hundred automatic tasks share the rows; then one process claims and settles. Ratios are to
the same over ten thousand rows.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from benchmarks import stand
from tests.support.rows import MadeTask, make_message, make_task
from tests.support.services import Services
from worker import alarms
from worker.beat import TAKE_DUE
from worker.core.outcomes import Outcome
from worker.outbox import claims, figures, leases, overdue, settling, waking
from worker.outbox.answers import Answer, RecipientAnswer

TASKS = 200
TIMES = 30
MESSAGES = 500
SERVED = text("""
    INSERT INTO process (id, server_id, host, pid, version, slots)
    SELECT gen_random_uuid(), id, 'host', 1, '0', 4 FROM server
""")
BUSY = text("UPDATE automatic_task SET waits_for = 'slot', next_run_at = clock_timestamp()")
IDLE = text("UPDATE automatic_task SET waits_for = 'work', next_run_at = NULL")
MINUTE = timedelta(minutes=1)


def main() -> None:
    with stand.durable_services() as services:
        bases: dict[str, float] = {}
        for rows in (10_000, 1_000_000):
            print(f"-- {rows:,} ready messages of {TASKS} automatic tasks")
            with stand.fresh_engine(services) as engine:
                tasks = _prepare(engine, rows)
                for name, found in _passes(services, engine, tasks):
                    bases.setdefault(name, stand.show(name, found, bases.get(name)))
                _claim_and_settle(engine, tasks[0], bases)


def _prepare(engine: Engine, rows: int) -> list[MadeTask]:
    with engine.begin() as connection:
        tasks = [make_task(connection) for _ in range(TASKS)]
        connection.execute(SERVED)
        for task in tasks:
            stand.fill(connection, task, rows // TASKS)
    stand.analyse(engine)
    return tasks


def _passes(
    services: Services, engine: Engine, tasks: list[MadeTask]
) -> list[tuple[str, list[float]]]:
    settings = stand.settings_of(services, engine)
    ids = [task.id for task in tasks]

    def over(run: Callable[[Connection], Any], before: Any = None) -> list[float]:
        def in_transaction() -> None:
            with engine.begin() as connection:
                run(connection)

        def put_back() -> None:
            if before is not None:
                with engine.begin() as connection:
                    connection.execute(before)

        put_back()
        return stand.times_ms(in_transaction, TIMES, put_back)

    return [
        ("wake_idle, all tasks idle with mail ready", over(waking.wake_idle, IDLE)),
        ("wake_idle, all tasks busy", over(waking.wake_idle, BUSY)),
        (
            "TAKE_DUE, all tasks due",
            over(lambda c: c.execute(TAKE_DUE, {"silent_after": MINUTE}).all(), BUSY),
        ),
        (
            "TAKE_DUE, none due",
            over(lambda c: c.execute(TAKE_DUE, {"silent_after": MINUTE}).all(), IDLE),
        ),
        ("recover: released, none overdue", over(overdue.return_released)),
        ("recover: sending, none overdue", over(overdue.take_for_unknown)),
        ("recover: expiry, none expired", over(overdue.expire)),
        ("recover: alarms", stand.times_ms(lambda: alarms.watch(engine, settings), TIMES)),
        ("lanes without a task", over(figures.lanes_without_task)),
        ("backlog of one task", over(lambda c: figures.backlog(c, ids[:1]))),
        ("backlog of a server's tasks", over(lambda c: figures.backlog(c, ids))),
        ("on the way of a server's tasks", over(lambda c: figures.on_the_way(c, ids))),
    ]


def _claim_and_settle(engine: Engine, task: MadeTask, bases: dict[str, float]) -> None:
    """One process: claim, commit, settle, commit; nothing is handed over between them."""
    with engine.begin() as connection:
        made = [make_message(connection, task) for _ in range(MESSAGES)]
        ids = [one.id for one in made]
        leased = leases.lease(connection, task.id, ids, MINUTE)
    accepted = Answer(Outcome.ACCEPTED, (RecipientAnswer(0, Outcome.ACCEPTED, "250 ok"),))
    claiming, settling_ = [], []
    for lease in leased:
        started = time.perf_counter()
        with engine.begin() as connection:
            claims.claim(
                connection,
                lease.message_id,
                lease.token,
                server="main",
                worker="benchmark",
                deadline=MINUTE,
            )
        claimed = time.perf_counter()
        with engine.begin() as connection:
            assert settling.settle(connection, lease.token, accepted, 0.0) == "sent"
        claiming.append((claimed - started) * 1000)
        settling_.append((time.perf_counter() - claimed) * 1000)
    for name, found in (("claim", claiming), ("settle", settling_)):
        bases.setdefault(name, stand.show(name, found, bases.get(name)))
    both = 1000 / (statistics.mean(claiming) + statistics.mean(settling_))
    print(f"claims and settles of one process: {both:.0f} messages/s")


if __name__ == "__main__":
    main()
