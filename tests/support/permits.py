"""Asking for permits in tests, and judging what was handed over."""

from __future__ import annotations

import heapq
import itertools
import random
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from tests.support.redis_clients import connect
from worker.core.pace import Pace
from worker.throttle import Asking, Throttle, budgets_of

SECOND = 1_000_000
WINDOW = 3600 * SECOND
HANDOVER = 660 * SECOND
FREE = Pace(interval_us=1, burst=1_000_000)
"""A pace that refuses nothing."""

REAL_CLOCK = 'redis.call("TIME")'
PLANTED_CLOCK = 'redis.call("HMGET", "planted clock", "seconds", "micros")'


def open_throttle(
    url: str, *, window_us: int = WINDOW, handover_us: int = HANDOVER, generation: int = 1
) -> Throttle:
    """A throttle whose log is empty and whole."""
    throttle = Throttle(connect(url), window_us=window_us, handover_max_us=handover_us)
    throttle.begin_rebuild("tests")
    assert throttle.end_rebuild("tests", generation)
    return throttle


def asking(
    permit: uuid.UUID | None = None,
    *,
    limit: int = 100,
    account_limit: int | None = None,
    domain_limit: int | None = None,
    domains: Mapping[str, int] | None = None,
    task: int = 1,
    account: int = 1,
    pace: Pace = FREE,
    paced: bool = True,
    generation: int = 1,
) -> Asking:
    """One recipient at firma.example, of task 1 and SMTP account 1, unless told otherwise."""
    budgets = budgets_of(
        task_id=task,
        task_limit=limit,
        account_id=account,
        account_limit=account_limit,
        domain_limit=domain_limit,
        domains=domains or {"firma.example": 1},
    )
    return Asking(permit or uuid.uuid4(), generation, task, account, pace, paced, budgets)


def change_script(throttle: Throttle, script: str, old: str, new: str) -> None:
    """Let the throttle run a changed copy of one of its scripts."""
    assert old in throttle._sources[script], f"{script}.lua holds no {old!r}"
    throttle._sources[script] = throttle._sources[script].replace(old, new)


class PlantedClock:
    """Redis's clock, as the scripts of one throttle see it; in µs."""

    def __init__(self, throttle: Throttle, url: str, now_us: int) -> None:
        self._client: redis.Redis = connect(url)
        for script in ("acquire", "confirm", "look"):
            change_script(throttle, script, REAL_CLOCK, PLANTED_CLOCK)
        self.set(now_us)

    def set(self, now_us: int) -> None:
        seconds, micros = divmod(now_us, SECOND)
        self._client.hset("planted clock", mapping={"seconds": seconds, "micros": micros})
        self.now_us = now_us


@dataclass(frozen=True, slots=True)
class Dot:
    """A hand-over under one budget: its answer's time, and the limit at its grant.

    `granted` grows from grant to grant.
    """

    at_us: int
    granted: int
    cost: int
    limit: int


def excess(dots: Iterable[Dot], window_us: int) -> int:
    """By how much the worst window exceeds the limit in force at its last permit."""
    ordered = sorted(dots, key=lambda dot: dot.at_us)
    worst = -(10**9)
    for end, last in enumerate(ordered):
        inside = [d for d in ordered[: end + 1] if d.at_us > last.at_us - window_us]
        limit = max(inside, key=lambda dot: dot.granted).limit
        worst = max(worst, sum(dot.cost for dot in inside) - limit)
    return worst


@dataclass
class Model:
    """Random hand-overs on a planted clock: answered, crashed, given back, under moving limits.

    Attributes:
        dots: what was handed over, under each budget's name.
        granted: how many permits were granted.
    """

    throttle: Throttle
    clock: PlantedClock
    seed: int
    dots: dict[str, list[Dot]] = field(default_factory=dict)
    granted: int = 0
    refused: int = 0

    def run(self, steps: int) -> None:
        dice = random.Random(self.seed)
        limits = {"task": 12, "account": 18, "domain": 6}
        events: list[tuple[int, int, Asking]] = []
        numbers = itertools.count()
        for _ in range(steps):
            self._advance(dice, events)
            if dice.random() < 0.01:
                limits[dice.choice(list(limits))] = dice.randint(3, 20)
            asked = self._asking(dice, limits)
            if self.throttle.acquire(asked) is not None:
                self.refused += 1
                continue
            self.granted += 1
            self._hand_over(dice, asked, events, numbers)

    def _advance(self, dice: random.Random, events: list[tuple[int, int, Asking]]) -> None:
        """Move on by some seconds, or by none, and confirm what was answered meanwhile."""
        target = self.clock.now_us + dice.choice([0, dice.randrange(300 * SECOND)])
        while events and events[0][0] <= target:
            at, _, asked = heapq.heappop(events)
            self.clock.set(at)
            self.throttle.confirm(asked.permit, asked.budgets)
        self.clock.set(target)

    def _asking(self, dice: random.Random, limits: Mapping[str, int]) -> Asking:
        names = dice.sample(["a.example", "b.example", "c.example"], dice.choice([1, 1, 1, 2]))
        return asking(
            task=dice.choice([1, 2]),
            limit=limits["task"],
            account_limit=limits["account"],
            domain_limit=limits["domain"],
            domains={name: dice.choice([1, 1, 2]) for name in names},
        )

    def _hand_over(
        self, dice: random.Random, asked: Asking, events: list[Any], numbers: Iterable[int]
    ) -> None:
        now, fate = self.clock.now_us, dice.random()
        longest = dice.choice([SECOND, HANDOVER])
        answered = now + dice.randrange(longest)
        if fate < 0.1:
            self.throttle.refund(asked.permit, asked.budgets)
            return
        if fate < 0.2:
            self.throttle.acquire(asked)  # asked again: the answer was lost
        if fate < 0.8:
            confirmed = dice.randint(answered, now + longest)
            heapq.heappush(events, (confirmed, next(iter(numbers)), asked))
        for budget in asked.budgets:  # else it crashed after its dot, and nobody confirms
            dot = Dot(answered, self.granted, budget.cost, budget.limit)
            self.dots.setdefault(budget.name, []).append(dot)

    def worst(self) -> int:
        """By how much any window of any budget exceeds its limit; 0 is a full one."""
        return max(excess(dots, WINDOW) for dots in self.dots.values())


def members(url: str, key: str) -> Sequence[tuple[str, float]]:
    """What a log holds, oldest first."""
    client = connect(url)
    try:
        found: Sequence[tuple[str, float]] = client.zrange(key, 0, -1, withscores=True)
        return found
    finally:
        client.close()
