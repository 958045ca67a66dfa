"""Budgets, what a permit is asked for, and the answers; where each is kept in Redis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from worker.core.pace import Pace

PREFIX = "kadencia:throttle:"
EPOCH = PREFIX + "epoch"
HISTORY = PREFIX + "history"
MARK = PREFIX + "rebuild"

UNLIMITED = 2**31


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit that a message falls under.

    Attributes:
        name: what a person may call it, as in `task 3` or `domain firma.example`.
        key: Redis key of its log.
        limit: the most that any window may hold.
        cost: envelope recipients of this message under it.
        domain: the recipient's domain, if the budget is a domain's.
    """

    name: str
    key: str
    limit: int
    cost: int
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Asking:
    """Everything that one permit is asked for.

    Attributes:
        permit: the attempt's id.
        generation: the throttle's, as the claim read it.
        task_id: automatic task, whose pace the permit advances.
        account_id: SMTP account.
        pace: spreads the task's sending.
        paced: whether the pace may refuse it; a transactional message goes past.
        budgets: the task's first.
    """

    permit: UUID
    generation: int
    task_id: int
    account_id: int
    pace: Pace
    paced: bool
    budgets: tuple[Budget, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """No permit now: which budget is full, or the pace, and until when (Redis time, µs).

    The time is an estimate: hand-overs that are answered meanwhile bring it nearer.
    """

    what: str
    until_us: int


@dataclass(frozen=True, slots=True)
class Look:
    """The state of a task's budgets. Times are Redis's, in µs; 0 stands for none."""

    now_us: int
    tat_us: int
    task_used: int
    task_oldest_us: int
    account_used: int
    account_oldest_us: int
    domain_free_at_us: int
    full_domains: tuple[str, ...]


def task_key(task_id: int) -> str:
    """The key of an automatic task's log."""
    return f"{PREFIX}task:{task_id}"


def account_key(account_id: int) -> str:
    """The key of an SMTP account's log."""
    return f"{PREFIX}account:{account_id}"


def domain_key(account_id: int, domain: str) -> str:
    """The key of the log of one recipient domain at an account."""
    return f"{PREFIX}domain:{account_id}:{domain}"


def full_key(account_id: int) -> str:
    """The key of the set of an account's full domains."""
    return f"{PREFIX}full:{account_id}"


def pace_key(task_id: int) -> str:
    """The key of an automatic task's pace."""
    return f"{PREFIX}pace:{task_id}"


def budgets_of(
    *,
    task_id: int,
    task_limit: int,
    account_id: int,
    account_limit: int | None,
    domain_limit: int | None,
    domains: Mapping[str, int],
) -> tuple[Budget, ...]:
    """Every budget that a message falls under.

    A budget without a limit is kept as well, so that one set later counts from the start.

    Args:
        task_id: automatic task.
        task_limit: its cadence; less its reserve, unless the message is transactional.
        account_id: SMTP account.
        account_limit: the account's limit, if it has one.
        domain_limit: that of each domain at the account, if there is one.
        domains: how many envelope recipients are in each domain.
    """
    cost = sum(domains.values())
    account = UNLIMITED if account_limit is None else account_limit
    each = UNLIMITED if domain_limit is None else domain_limit
    return (
        Budget(f"task {task_id}", task_key(task_id), task_limit, cost),
        Budget(f"SMTP account {account_id}", account_key(account_id), account, cost),
        *(
            Budget(f"domain {name}", domain_key(account_id, name), each, share, name)
            for name, share in sorted(domains.items())
        ),
    )


def entries(
    permit: UUID, budgets: tuple[Budget, ...], score_us: int
) -> Iterator[tuple[str, str, int]]:
    """Key, member and score of what a permit puts into the logs.

    A member for each unit of cost, named as in `lua/acquire.lua`.
    """
    for budget in budgets:
        for unit in range(1, budget.cost + 1):
            yield budget.key, f"{permit}.{unit}", score_us
