"""Makes faults in a town, one after the other, and has each judged."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults import sms_town, sms_verdict, verdict
from tests.faults.fault import CannotBeMade, Fault
from tests.faults.ground import Ground
from tests.faults.town import Town, town
from tests.faults.verdict import RESUMED_SECONDS, Verdict
from tests.support.process_table import wait_until

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


@dataclass(frozen=True, slots=True)
class Channel:
    """What faults of one channel take.

    Attributes:
        town: opens one; given a log or none, and settings.
        judge: given the town, the fault, the names of messages, and the start in µs.
        settled: whether it can judge these messages now.
        backlog: messages of each task, at a fault that is made alone: more than fit a window.
    """

    town: Callable[..., AbstractContextManager[Any]]
    judge: Callable[[Any, Fault, set[str], int], Verdict]
    settled: Callable[[Any, set[str]], bool]
    backlog: int


EMAIL = Channel(town, verdict.judge, verdict.settled, backlog=110)
SMS = Channel(sms_town.sms_town, sms_verdict.judge, sms_verdict.settled, backlog=60)


class Runner:
    """Makes faults; a town that one leaves unfit is given up, and the next gets another.

    Args:
        tell: is told each verdict at once.
        logs: where the fleet's log is kept of each town.
        channel: of what is sent.
    """

    def __init__(self, tell: Tell, logs: Path | None = None, channel: Channel = EMAIL) -> None:
        self._tell = tell
        self._logs = logs
        self._channel = channel
        self._stack = ExitStack()
        self._town: Ground | None = None
        self._towns = 0

    def each(self, faults: Iterable[Fault]) -> Iterator[Verdict]:
        """Make each fault by itself, and wait until its messages have settled."""
        try:
            for fault in faults:
                if fault.alone:
                    self.leave()
                try:
                    found = alone(self.here(**fault.times), fault, self._channel)
                except CannotBeMade as error:
                    found = Verdict(f"{fault.name} (skipped: {error})", runs=0)
                self._tell(found)
                yield found
                if found.broken or fault.alone:
                    self.leave()
        finally:
            self.leave()

    def at_random(self, faults: list[Fault], seconds: float, seed: int) -> Iterator[Verdict]:
        """Make faults chosen by chance for so long, without waiting for what they leave."""
        try:
            chance = random.Random(seed)
            yield from at_random(self.here(), faults, seconds, chance, self._tell, self._channel)
        finally:
            self.leave()

    def here(self, **times: str) -> Ground:
        """The town, a new one with these settings if there is none."""
        if self._town is None:
            self._towns += 1
            name = f"{self._channel.town.__name__}-{self._towns}.log"
            log = self._logs / name if self._logs else None
            self._town = self._stack.enter_context(self._channel.town(log, **times))
        assert self._town is not None
        return self._town

    def leave(self) -> None:
        """End the town."""
        self._town = None
        self._stack.close()


def alone(here: Ground, fault: Fault, channel: Channel = EMAIL, backlog: int = 0) -> Verdict:
    """Make one fault while a backlog of each task is being sent, wait for its end, and judge."""
    since = time.time()
    known = len(here.enqueued)
    for office in here.offices:
        here.enqueue(office, backlog or channel.backlog)
    wrong: list[str] = []
    resumed = 0.0
    try:
        wait_until(lambda: _begun(here, since), RESUMED_SECONDS)
        fault.strike(here)
        resumed = until_resumed(here)
        _settle(here, known, channel)
    except AssertionError as error:
        wrong.append(f"not in time: {error}")
    names = set(list(here.enqueued)[known:])
    found = channel.judge(here, fault, names, round(since * 1_000_000))
    found.resumed = resumed
    found.wrong += wrong
    return found


def at_random(
    here: Ground,
    faults: list[Fault],
    seconds: float,
    chance: random.Random,
    tell: Tell,
    channel: Channel = EMAIL,
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
        _settle(here, 0, channel)
    except AssertionError as error:
        wrong.append(f"not in time: {error}")
    everything = Fault(total.name, lambda _: None, unknowns=allowed, resends=resends)
    found = channel.judge(here, everything, set(here.enqueued), round(start * 1_000_000))
    found.runs, found.resumed = total.runs, total.resumed
    found.wrong += wrong
    tell(found)
    yield found


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
        _settle(here, 0, EMAIL)
        found = EMAIL.judge(here, NO_FAULT, set(here.enqueued), since)
        found.use = min(_used(here, office, seconds) for office in here.offices)
    if found.use < USE_LEAST:
        found.wrong.append(f"used {found.use:.3f} of what was allowed, at least {USE_LEAST}")
    tell(found)
    return found


def _most(here: Town, office: str) -> int:
    """What an office may send in a window; the limits of its domains are wider than its own."""
    return min(x.most for x in here.limits if x.of == office and x.kind != "domain")


def _used(here: Town, office: str, seconds: float) -> float:
    dots = [dot.at_us for dot in here.offices[office].smtp.dots]
    inside = sum(at <= dots[0] + seconds * 1_000_000 for at in dots)
    return inside / (_most(here, office) * CALM_WINDOWS)


def until_resumed(here: Ground) -> float:
    """Enqueue a little, and wait until every task has sent something; the seconds."""
    moment = time.time()
    for office in here.offices:
        here.enqueue(office, 2)
    wait_until(lambda: here.accepted_since(moment) == set(here.offices), 2 * RESUMED_SECONDS)
    return time.time() - moment


def _begun(here: Ground, since: float) -> bool:
    return here.accepted_since(since) == set(here.offices)


def _settle(here: Ground, known: int, channel: Channel) -> None:
    names = set(list(here.enqueued)[known:])
    wait_until(lambda: channel.settled(here, names), SETTLED_SECONDS)
