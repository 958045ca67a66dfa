"""Permits per second: a throttle whose logs are full of entries against an empty one.

    python -m benchmarks.throttle

One client, one message to one recipient: three budgets, of the task, the account, the domain.
"""

from __future__ import annotations

import itertools
import statistics
import time
import uuid

from benchmarks import stand
from worker.core.pace import Pace
from worker.rebuild import rebuild
from worker.throttle import Asking, Throttle, budgets_of, entries

ENTRIES = 3000
PERMITS = 2000
ROUNDS = 7
NO_PACE = Pace(interval_us=1, burst=1)


def main() -> None:
    with stand.durable_services() as services, stand.fresh_engine(services) as engine:
        throttle = stand.throttle_of(services, engine)
        rebuild(engine, throttle)
        accounts = itertools.count(1)
        _rate(throttle, next(accounts), 0)  # fills caches
        rates: dict[int, list[float]] = {0: [], ENTRIES: []}
        for _ in range(ROUNDS):
            for held, found in rates.items():
                found.append(_rate(throttle, next(accounts), held))
        empty, full = (statistics.median(found) for found in rates.values())
        print(f"logs from empty to {PERMITS:,} entries: {empty:8,.0f} permits/s")
        print(f"logs of {ENTRIES:,} and more:       {full:8,.0f} permits/s  x{full / empty:.2f}")


def _rate(throttle: Throttle, account: int, held: int) -> float:
    """Permits per second of one client, at an account whose logs hold so many entries."""
    now_us = throttle.begin_rebuild("benchmark")
    for _ in range(held):
        throttle.add_permits(entries(uuid.uuid4(), _asking(account).budgets, now_us))
    askings = [_asking(account) for _ in range(PERMITS)]
    started = time.perf_counter()
    refused = [one for one in map(throttle.acquire, askings) if one is not None]
    seconds = time.perf_counter() - started
    assert not refused, refused[0]
    return PERMITS / seconds


def _asking(account: int) -> Asking:
    budgets = budgets_of(
        task_id=account,
        task_limit=100_000,
        account_id=account,
        account_limit=100_000,
        domain_limit=100_000,
        domains={"firma.example": 1},
    )
    return Asking(uuid.uuid4(), 1, account, account, NO_PACE, False, budgets)


if __name__ == "__main__":
    main()
