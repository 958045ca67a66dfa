"""How many messages a sweep may release now, which ones, and when to look again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

K = TypeVar("K")


class Bound(StrEnum):
    """What keeps a sweep from releasing more."""

    WORK = "nothing more is ready"
    CADENCE = "the cadence is used up"
    RESERVE = "the rest of the cadence is reserved for transactional messages"
    ACCOUNT = "the account's hourly limit is used up"
    DOMAIN = "the hourly limit of the remaining domains is used up"
    PACE = "the pace"
    CONNECTION = "all connections of the account are in use"
    BREAKER = "the account refuses us and is left alone for a while"
    PLAN = "outside the plan"
    BUDGET = "the budget in EUR is used up"
    SIZE = "what remains has more recipients than a limit can ever hold"


@dataclass(frozen=True, slots=True)
class Candidate(Generic[K]):
    """A message that is ready: what names it, its recipients by domain, whether it is urgent."""

    key: K
    domains: Mapping[str, int]
    transactional: bool

    @property
    def cost(self) -> int:
        """Envelope recipients."""
        return sum(self.domains.values())


@dataclass(slots=True)
class Room:
    """What is left under each budget, in envelope recipients; used up as it is given away.

    Attributes:
        task: under the whole cadence.
        reserve: how much of it only transactional messages may use.
        account: under the account's hourly limit; None without one.
        paced: how much the pace lets through now; `idle` that it lets anything through once.
        connections: messages that may be on their way at once.
        domain_limit: of each domain by itself; None without one.
        domain_used: of each candidate's domain.
    """

    task: int
    reserve: int
    account: int | None
    paced: int
    idle: bool
    connections: int
    domain_limit: int | None = None
    domain_used: dict[str, int] = field(default_factory=dict)

    def refusal(self, one: Candidate[K]) -> Bound | None:
        """What stands in the way of releasing a candidate; None if nothing does."""
        if self.connections < 1:
            return Bound.CONNECTION
        if one.cost > self.task:
            return Bound.CADENCE
        if self.account is not None and one.cost > self.account:
            return Bound.ACCOUNT
        if not one.transactional and one.cost > self.task - self.reserve:
            return Bound.RESERVE
        if not one.transactional and one.cost > self.paced and not self.idle:
            return Bound.PACE
        return Bound.DOMAIN if self.tight(one) else None

    def tight(self, one: Candidate[K]) -> set[str]:
        """Its domains that have too little room left for it."""
        if self.domain_limit is None:
            return set()
        used, limit = self.domain_used, self.domain_limit
        return {name for name, n in one.domains.items() if used.get(name, 0) + n > limit}

    def take(self, one: Candidate[K]) -> None:
        """Count a candidate as released."""
        self.task -= one.cost
        self.paced -= one.cost
        self.idle = False
        self.connections -= 1
        if self.account is not None:
            self.account -= one.cost
        for name, n in one.domains.items():
            self.domain_used[name] = self.domain_used.get(name, 0) + n


def choose(candidates: Iterable[Candidate[K]], room: Room) -> tuple[list[Candidate[K]], Bound]:
    """Take candidates in their order for as long as there is room.

    One that is too big for what is left ends it, or small ones would overtake it for
    ever; one whose domain is full is passed over, or one domain would hold up all others.

    Returns:
        The chosen ones, and what kept it from choosing more.
    """
    chosen: list[Candidate[K]] = []
    passed_over = False
    for one in candidates:
        refusal = room.refusal(one)
        if refusal is Bound.DOMAIN:
            passed_over = True
        elif refusal is not None:
            return chosen, refusal
        else:
            room.take(one)
            chosen.append(one)
    return chosen, Bound.DOMAIN if passed_over else Bound.WORK
