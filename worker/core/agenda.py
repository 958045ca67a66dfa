"""What a sweep finds, as numbers: the room that is left, and when to look again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.core.pace import Pace, open_slots, slots_open_at
from worker.core.slots import Bound, Room

CONNECTION_US = 500_000
"""Chosen: a hand-over takes a fraction of a second, so a connection is soon free again."""

DOMAIN_US = 30_000_000
"""Chosen: the longest until a task that passes over what remains looks for others again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a task's budgets allow in a window, in envelope recipients.

    Attributes:
        cadence: of the automatic task.
        reserve: how much of it only transactional messages may use.
        account: of its SMTP account; None without one.
        domain: of each recipient domain at the account; None without one.
        pace: spreads the cadence.
        window_us: length of the window.
    """

    cadence: int
    reserve: int
    account: int | None
    domain: int | None
    pace: Pace
    window_us: int


@dataclass(frozen=True, slots=True)
class Used:
    """What is used of them: in the throttle's log, and released but not in the log yet.

    Attributes:
        now_us: the throttle's clock, µs, as are all times here; 0 stands for none.
        tat_us: the pace's theoretical arrival time.
        task, account: counted in the log.
        task_oldest_us, account_oldest_us: the entry that leaves it next.
        domain_free_at_us: when the first full domain may have room.
        task_released, account_released: on the way to a worker.
        domains: in the log or on the way, of each domain that matters.
    """

    now_us: int
    tat_us: int
    task: int
    task_oldest_us: int
    account: int
    account_oldest_us: int
    domain_free_at_us: int
    task_released: int
    account_released: int
    domains: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Largest:
    """The most recipients of a message that may ever go, in all and in one domain."""

    transactional: int
    other: int
    in_domain: int


UNLIMITED = 2**15 - 1
"""More recipients than a message can have."""


def largest(limits: Limits) -> Largest:
    """What no message may exceed, however long it waits.

    One that is too big, since a limit was lowered after it was enqueued, is left lying: it must
    not keep the others from going.
    """
    account = UNLIMITED if limits.account is None else limits.account
    return Largest(
        transactional=min(limits.cadence, account),
        other=min(limits.cadence - limits.reserve, account),
        in_domain=UNLIMITED if limits.domain is None else limits.domain,
    )


def room(limits: Limits, used: Used, connections: int) -> Room:
    """The room that is left under each budget."""
    tat_us = _tat_us(limits, used, 0)
    account = limits.account
    return Room(
        task=limits.cadence - used.task - used.task_released,
        reserve=limits.reserve,
        account=None if account is None else account - used.account - used.account_released,
        paced=open_slots(tat_us, used.now_us, limits.pace),
        idle=tat_us <= used.now_us,
        connections=connections,
        domain_limit=limits.domain,
        domain_used=dict(used.domains),
    )


def wait_us(bound: Bound, limits: Limits, used: Used, released: int, quantum_us: int) -> int:
    """How long until a task that released what it could should be swept again.

    Args:
        bound: what kept the sweep from releasing more: a budget, the pace, or connections.
        limits: the task's.
        used: as it was before the sweep.
        released: envelope recipients that the sweep released.
        quantum_us: a busy task is swept this often.

    Returns:
        µs; never more than a window.
    """
    soonest_us = quantum_us // 5
    if bound is Bound.CONNECTION:
        return min(CONNECTION_US, quantum_us)
    if bound is Bound.PACE:
        slots = max(quantum_us // limits.pace.interval_us, 1)
        opens_us = slots_open_at(_tat_us(limits, used, released), slots, limits.pace)
        return min(max(opens_us - used.now_us, soonest_us), limits.window_us)
    oldest_us = {
        Bound.ACCOUNT: used.account_oldest_us,
        Bound.DOMAIN: used.domain_free_at_us - limits.window_us if used.domain_free_at_us else 0,
    }.get(bound, used.task_oldest_us)
    # Nothing in the log: what is on its way fills the budget, and will soon be there.
    leaves_us = oldest_us + limits.window_us - used.now_us if oldest_us else 0
    longest_us = limits.window_us
    if bound is Bound.DOMAIN or bound is Bound.SIZE:
        longest_us = min(longest_us, DOMAIN_US)
    return min(max(leaves_us, quantum_us), longest_us)


def _tat_us(limits: Limits, used: Used, released: int) -> int:
    debt = (used.task_released + released) * limits.pace.interval_us
    return max(used.tat_us, used.now_us) + debt if debt else used.tat_us
