"""Makes faults in a town, one after the other, and has each judged."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.faults.fault import CannotBeMade, Fault
from tests.faults.town import Town, town
from tests.faults.verdict import ON_ITS_WAY, RESUMED_SECONDS, Verdict, judge
from tests.support.process_table import wait_until

BACKLOG = 110
"""Messages of each task, at a fault that is made alone: more than fit a window."""
BEGUN = 5
SETTLED_SECONDS = 180
STOCK = 150
"""Messages of each task that wait, when faults come at random."""

NO_FAULT = Fault("no fault at all", lambda _: None)
CALM_WINDOW_SECONDS, CALM_WINDOWS = 30, 3
CALM_TIMES = {
    "KADENCIA_WINDOW_SECONDS": str(CALM_WINDOW_SECONDS),
    "KADENCIA_BURST_SECONDS": "3",
    "KADENCIA_QUANTUM_SECONDS": "0.2",
}
USE_LEAST = 0.95

Tell = Callable[[Verdict], None]


class Runner:
    """Makes faults; a town that one leaves unfit is given up, and the next gets another.

    Args:
        tell: is told each verdict at once.
        logs: where the fleet's log is kept of each town in which a promise was broken.
    """

    def __init__(self, tell: Tell, logs: Path | None = None) -> None:
        self._tell = tell
        self._logs = logs
        self._stack = ExitStack()
        self._town: Town | None = None
        self._towns = 0

    def each(self, faults: Iterable[Fault]) -> Iterator[Verdict]:
        """Make each fault by itself, and wait until its messages have settled."""
        try:
            for fault in faults:
                if fault.alone:
                    self.leave()
                try:
                    verdict = alone(self.here(**fault.times), fault)
                except CannotBeMade as error:
                    verdict = Verdict(fault.name, runs=0, wrong=[])
                    verdict.name += f" (skipped: {error})"
                self._tell(verdict)
                yield verdict
                if verdict.broken or fault.alone:
                    self.leave()
        finally:
            self.leave()

    def at_random(self, faults: list[Fault], seconds: float, seed: int) -> Iterator[Verdict]:
        """Make faults chosen by chance for so long, without waiting for what they leave."""
        try:
            yield from at_random(self.here(), faults, seconds, random.Random(seed), self._tell)
        finally:
            self.leave()

    def here(self, **times: str) -> Town:
        """The town, a new one with these settings if there is none."""
        if self._town is None:
            self._towns += 1
            log = self._logs / f"town-{self._towns}.log" if self._logs else None
            self._town = self._stack.enter_context(town(log, **times))
        return self._town

    def leave(self) -> None:
        """End the town."""
        self._town = None
        self._stack.close()


def alone(here: Town, fault: Fault, backlog: int = BACKLOG) -> Verdict:
    """Make one fault while a backlog of each task is being sent, wait for its end, and judge."""
    since = time.time()
    known = len(here.enqueued)
    for office in here.offices:
        here.enqueue(office, backlog)
    wrong: list[str] = []
    resumed = 0.0
    try:
        wait_until(lambda: len(here.journal.read()) and _begun(here, since), RESUMED_SECONDS)
        fault.strike(here)
        resumed = until_resumed(here)
        _settle(here, known)
    except AssertionError as error:
        wrong.append(f"not in time: {error}")
    names = set(list(here.enqueued)[known:])
    verdict = judge(here, fault, names, round(since * 1_000_000))
    verdict.resumed = resumed
    verdict.wrong += wrong
    return verdict


def at_random(
    here: Town, faults: list[Fault], seconds: float, chance: random.Random, tell: Tell
) -> Iterator[Verdict]:
    """Faults one upon the other; what is told of each is how soon sending went on."""
    start = time.time()
    allowed, resends = 0, False
    total = Verdict("all of these together", runs=0)
    while time.time() < start + seconds:
        fault = chance.choice(faults)
        one = Verdict(fault.name, allowed=fault.unknowns)
        here.stock_up(STOCK)
        try:
            fault.strike(here)
            one.resumed = until_resumed(here)
        except CannotBeMade as error:
            one.wrong.append(f"skipped: {error}")
        except AssertionError as error:
            one.wrong.append(f"not in time: {error}")
        tell(one)
        allowed += fault.unknowns
        resends = resends or fault.resends
        total = total.plus(one)
        time.sleep(chance.uniform(0, 2))
    wrong = total.wrong
    try:
        _settle(here, 0)
    except AssertionError as error:
        wrong.append(f"not in time: {error}")
    everything = Fault(total.name, lambda _: None, unknowns=allowed, resends=resends)
    verdict = judge(here, everything, set(here.enqueued), round(start * 1_000_000))
    verdict.runs, verdict.resumed = total.runs, total.resumed
    verdict.wrong += wrong
    tell(verdict)
    yield verdict


def calm(tell: Tell, logs: Path | None = None) -> Verdict:
    """No fault at all: how much of what the limits allow is used while there is a backlog."""
    since = round(time.time() * 1_000_000)
    seconds = CALM_WINDOW_SECONDS * CALM_WINDOWS
    log = logs / "calm.log" if logs else None
    with town(log, **CALM_TIMES) as here:
        for office in here.offices:
            here.enqueue(office, round(_most(here, office) * (CALM_WINDOWS + 0.4)))
        wait_until(lambda: _begun(here, 0), RESUMED_SECONDS)
        first = min(entry["dot_us"] for entry in here.journal.read())
        wait_until(lambda: time.time() > first / 1_000_000 + seconds, 2 * seconds)
        _settle(here, 0)
        verdict = judge(here, NO_FAULT, set(here.enqueued), since)
        verdict.use = min(_used(here, office, seconds) for office in here.offices)
    if verdict.use < USE_LEAST:
        verdict.wrong.append(f"used {verdict.use:.3f} of what was allowed, at least {USE_LEAST}")
    tell(verdict)
    return verdict


def _most(here: Town, office: str) -> int:
    """What an office may send in a window; the limits of its domains are wider than its own."""
    return min(x.most for x in here.limits if x.of == office and x.kind != "domain")


def _used(here: Town, office: str, seconds: float) -> float:
    dots = [dot.at_us for dot in here.offices[office].smtp.dots]
    inside = sum(at <= dots[0] + seconds * 1_000_000 for at in dots)
    return inside / (_most(here, office) * CALM_WINDOWS)


def until_resumed(here: Town) -> float:
    """Enqueue a little, and wait until every task has sent something; the seconds."""
    moment = time.time()
    for office in here.offices:
        here.enqueue(office, 2)
    wait_until(lambda: here.accepted_since(moment) == set(here.offices), 2 * RESUMED_SECONDS)
    return time.time() - moment


def _begun(here: Town, since: float) -> bool:
    return here.accepted_since(since) == set(here.offices)


def _settle(here: Town, known: int) -> None:
    names = set(list(here.enqueued)[known:])
    wait_until(lambda: not ON_ITS_WAY & set(here.states(names).values()), SETTLED_SECONDS)
