"""No window holds more than its limit, whatever happens; and the model would notice."""

from __future__ import annotations

import multiprocessing
import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from tests.support.permits import (
    HANDOVER,
    WINDOW,
    Dot,
    Model,
    PlantedClock,
    asking,
    change_script,
    excess,
    open_throttle,
)
from tests.support.redis_clients import connect
from worker.core.pace import Pace, admit
from worker.throttle import Throttle

NOON = 1_800_000_000_000_000

MOMENT = 1_000
"""A window of 300 ms for tests on the real clock, in µs."""
SHORT, ANSWER = 300 * MOMENT, 60 * MOMENT


def model_on(redis_url: str, seed: int) -> Model:
    throttle = open_throttle(redis_url)
    return Model(throttle, PlantedClock(throttle, redis_url, NOON), seed)


@pytest.mark.parametrize("seed", range(6))
def test_no_window_of_any_budget_exceeds_its_limit(seed, redis_url):
    model = model_on(redis_url, seed)

    model.run(steps=2500)

    assert model.granted > 300
    assert model.refused > 300
    assert model.worst() == 0  # full, and not more


@pytest.mark.parametrize(
    ("script", "old", "new"),
    [
        pytest.param("acquire", "now + handover_max)", "now)", id="a permit ages from its grant"),
        pytest.param("acquire", "if over > 0", "if over > 1", id="one too many"),
        pytest.param(
            "acquire",
            "now - window)",
            "now - window + 60000000)",
            id="a window a minute too short",
        ),
        pytest.param(
            "acquire",
            "full, free_at = k - 3, free",
            "full, free_at = (k == 4 and 1 or full), free",
            id="only the task's limit counts",
        ),
        pytest.param(
            "acquire", "for unit = 1, cost do", "for unit = 1, 1 do", id="every message costs one"
        ),
        pytest.param(
            "confirm", '"XX", now', '"XX", now - 60000000', id="a confirmed permit ages early"
        ),
    ],
)
def test_the_model_notices_a_fault_in_a_script(script, old, new, redis_url):
    worst = -1
    for seed in range(4):
        redis.Redis.from_url(redis_url).flushall()
        model = model_on(redis_url, seed)
        change_script(model.throttle, script, old, new)
        model.run(steps=1500)
        worst = max(worst, model.worst())
        if worst > 0:
            break

    assert worst > 0


def test_the_pace_in_lua_is_that_of_the_core_at_every_microsecond(redis_url):
    throttle = open_throttle(redis_url)
    clock = PlantedClock(throttle, redis_url, NOON)
    dice = random.Random(7)
    seen = {True: 0, False: 0}
    for task in range(1, 40):
        # Long intervals: the state must not expire by the real clock.
        pace = Pace(dice.randint(60_000_000, 90_000_000), dice.randint(1, 5))
        tat = 0
        for _ in range(30):
            cost = dice.randint(1, 7)
            debt = tat + (cost - max(pace.burst, cost)) * pace.interval_us
            near = dice.choice([clock.now_us + dice.randrange(200_000_000), debt - 1, debt])
            clock.set(max(near, clock.now_us))
            verdict = admit(tat, clock.now_us, pace, cost)

            refused = throttle.acquire(
                asking(task=task, limit=10**6, pace=pace, domains={"a.example": cost})
            )

            assert (refused is None) is verdict.allowed
            if refused is not None:
                assert refused.until_us == clock.now_us + verdict.wait_us
            look = throttle.look(task_id=task, account_id=1, domain_limit=None, generation=1)
            assert look.tat_us == verdict.tat_us
            tat = verdict.tat_us
            seen[verdict.allowed] += 1
    assert min(seen.values()) > 200


class Sender(threading.Thread):
    """Hands over for a while: dots on Redis's clock, between the permit and the confirmation."""

    def __init__(self, url: str, seed: int, lasts_us: int) -> None:
        super().__init__()
        self.client = connect(url)
        self.throttle = Throttle(self.client, window_us=SHORT, handover_max_us=ANSWER)
        self.dice = random.Random(seed)
        self.until_us = self.now() + lasts_us
        self.dots: list[tuple[str, Dot]] = []
        self.error: BaseException | None = None

    def now(self) -> int:
        seconds, micros = self.client.time()
        return int(seconds) * 1_000_000 + int(micros)

    def run(self) -> None:
        try:
            while self.now() < self.until_us:
                self.send()
        except BaseException as error:
            self.error = error
        finally:
            self.client.close()

    def send(self) -> None:
        asked = asking(
            task=self.dice.choice([1, 2]),
            limit=40,
            account_limit=60,
            domain_limit=15,
            domains={self.dice.choice("abcdef") + ".example": self.dice.choice([1, 1, 2])},
        )
        before = self.now()
        if self.throttle.acquire(asked) is not None:
            return
        fate = self.dice.random()
        if fate < 0.1:
            self.throttle.refund(asked.permit, asked.budgets)
            return
        if fate < 0.3:
            self.throttle.acquire(asked)
        at = self.now()
        if at < before + ANSWER:  # else its dot is not begun
            self.dots += [(b.name, Dot(at, before, b.cost, b.limit)) for b in asked.budgets]
        if fate < 0.9:
            self.throttle.confirm(asked.permit, asked.budgets)


def test_eight_threads_together_keep_every_limit_on_the_real_clock(redis_url):
    open_throttle(redis_url, window_us=SHORT, handover_us=ANSWER)
    senders = [Sender(redis_url, seed, 2_500 * MOMENT) for seed in range(8)]

    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert [sender.error for sender in senders if sender.error] == []
    by_budget: dict[str, list[Dot]] = {}
    for name, dot in (pair for sender in senders for pair in sender.dots):
        by_budget.setdefault(name, []).append(dot)
    worst = {name: excess(dots, SHORT) for name, dots in by_budget.items()}
    assert len(worst) == 2 + 1 + 6
    assert max(worst.values()) <= 0
    assert worst["SMTP account 1"] >= -6  # the limits bind: the test is not about idle ones


def grants(url: str, count: int) -> int:
    """How many of `count` permits a process of its own is granted."""
    throttle = Throttle(connect(url), window_us=WINDOW, handover_max_us=HANDOVER)
    return sum(throttle.acquire(asking(limit=100)) is None for _ in range(count))


def test_three_processes_together_are_granted_the_limit_of_one(redis_url):
    open_throttle(redis_url)

    with multiprocessing.get_context("spawn").Pool(3) as pool:
        granted = pool.starmap(grants, [(redis_url, 80)] * 3)

    assert sum(granted) == 100


def test_one_permit_asked_for_by_many_at_once_counts_once(redis_url):
    throttle = open_throttle(redis_url)
    one = asking(uuid.uuid4(), limit=1)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: throttle.acquire(one), range(64)))

    assert answers == [None] * 64
    assert throttle.acquire(asking(limit=1)) is not None
