"""Why a message has not gone yet, in sentences that an operator can act on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from worker.core.plan import Plan, next_start, open_until


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """An automatic task that takes the message's lane, and what it works with.

    Attributes:
        server: the OAC server in charge of it.
        own_server: its own, where that is another; "" where nobody looked.
        has_stand_ins: others are named that take over when that one is silent.
        ahead: ready messages in its lanes that go before this one.
        detour: why it goes through another account than its own; None if it does not.
        broke_until: until when its budget for SMS is used up.
        used: recipients or segments in the cadence's window; None where nobody looked.
        limit: the cadence, less the reserve where the message may not use it.
        free_at: when the next slot opens under a cadence that is used up.
        full_domains: domains whose limit at the account is used up.
        domains_free_at: when the first of them has room again.
    """

    name: str
    active: bool
    plan: Plan | None
    server: str
    server_alive: bool
    server_paused: bool
    account: str
    account_enabled: bool
    breaker_until: datetime | None
    breaker_why: str | None
    limit: int
    ahead: int = 0
    detour: str | None = None
    broke_until: datetime | None = None
    used: int | None = None
    free_at: datetime | None = None
    full_domains: frozenset[str] = frozenset()
    domains_free_at: datetime | None = None
    own_server: str = ""
    has_stand_ins: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """What a cost counts, as in “it has 3 recipients”."""

    counted: str
    cheaper: str


IN_RECIPIENTS = Unit("recipients", "cancel it and split it")
IN_SEGMENTS = Unit("segments", "cancel it and shorten it")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a message that is ready.

    Attributes:
        domains: of the recipients still to be reached; of a number its calling code.
        cost: what a permit for them costs.
        unit: what the cost counts, and how a message may be made to cost less.
        stopped: why the whole installation is stopped; None if it is not.
        barred: recipients that the safety mode does not let through.
        redirect_to: the address that the safety mode puts in place of all.
        throttle: what is wrong with the throttle; None where it is well, or nobody looked.
    """

    now: datetime
    not_before: datetime
    expires_at: datetime
    domains: frozenset[str]
    cost: int
    unit: Unit = IN_RECIPIENTS
    stopped: str | None = None
    barred: tuple[str, ...] = ()
    redirect_to: str | None = None
    throttle: str | None = None
    tasks: tuple[TaskFacts, ...] = field(default=())


def explain(facts: Facts) -> list[str]:
    """Every reason why a ready message has not gone yet, the widest first.

    A message that several tasks may take waits for the first that can, so what stands in
    the way of one is told with its name. If nothing does, that is said.
    """
    reasons = [*_of_installation(facts), *_of_message(facts)]
    if not facts.tasks:
        reasons.append("no automatic task of its company takes it: make one for its establishment")
    for task in facts.tasks:
        reasons += [f"task “{task.name}”: {why}" for why in _of_task(task, facts)]
    return reasons or ["nothing stands in its way: it goes with the next sweep"]


def _of_installation(facts: Facts) -> Iterator[str]:
    if facts.stopped is not None:
        yield f"sending is stopped for the whole installation: {facts.stopped}"
    if facts.barred:
        yield f"the safety mode does not let {', '.join(facts.barred)} through; it will be held"
    if facts.redirect_to is not None:
        yield f"the safety mode is on: it will go to {facts.redirect_to} instead"
    if facts.throttle is not None:
        yield f"no permits can be given: {facts.throttle}"


def _of_message(facts: Facts) -> Iterator[str]:
    if facts.expires_at <= facts.now:
        yield f"it has expired, on {_time(facts.expires_at)}, and will be ended"
    elif facts.not_before > facts.now:
        yield f"it is not to go before {_time(facts.not_before)}"


def _of_task(task: TaskFacts, facts: Facts) -> Iterator[str]:
    if not task.active:
        yield "it is paused"
    yield from _of_plan(task.plan, facts.now)
    if not task.server_alive:
        yield _silent(task)
    if task.server_paused:
        yield f"its OAC server {task.server} is paused"
    if task.detour is not None:
        yield f"it goes {task.detour}"
    if not task.account_enabled:
        yield f"its account “{task.account}” is disabled"
    if task.breaker_until is not None and task.breaker_until > facts.now:
        said = f" ({task.breaker_why})" if task.breaker_why else ""
        again = _time(task.breaker_until)
        yield f"its account “{task.account}” refuses us{said}; tried again at {again}"
    if task.broke_until is not None and task.broke_until > facts.now:
        yield f"its budget in EUR is used up until {_time(task.broke_until)}, unless it is raised"
    yield from _of_budgets(task, facts)
    if task.ahead:
        yield f"{task.ahead} message(s) go before it"


def _silent(task: TaskFacts) -> str:
    if task.own_server not in ("", task.server):
        others = f", which stands in for {task.own_server}, is silent, and no other is there"
        return f"OAC server {task.server}{others}"
    none = ", and no stand-in has taken over" if task.has_stand_ins else ""
    return f"its OAC server {task.server} is silent: no worker of it is running{none}"


def _of_plan(plan: Plan | None, now: datetime) -> Iterator[str]:
    if plan is not None and open_until(plan, now) is None:
        yield f"outside its plan; the next run starts at {_time(next_start(plan, now))}"


def _of_budgets(task: TaskFacts, facts: Facts) -> Iterator[str]:
    if facts.cost > task.limit:
        yield (
            f"it has {facts.cost} {facts.unit.counted}, and {task.limit} may go in an hour: it "
            f"can never go; raise the cadence, or {facts.unit.cheaper}"
        )
    elif task.used is not None and task.used + facts.cost > task.limit:
        yield f"its cadence is used up, {task.used} of {task.limit}" + _from(task.free_at)
    full = sorted(facts.domains & task.full_domains)
    if full:
        yield f"the hourly limit of {', '.join(full)} is used up" + _from(task.domains_free_at)


def _from(moment: datetime | None) -> str:
    return "" if moment is None else f"; there is room again from {_time(moment)}"


def _time(moment: datetime) -> str:
    """In the zone that the datetime carries.

    >>> from datetime import UTC
    >>> _time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02 03:04:05 UTC'
    """
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}".rstrip()
