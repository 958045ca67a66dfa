"""Which messages a sweep releases, past all that is full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from worker.core import agenda
from worker.core.agenda import Limits, Used
from worker.core.slots import Bound, Candidate, Room, choose
from worker.outbox import backlog, leases
from worker.outbox.backlog import OnTheWay
from worker.outbox.leases import Lease
from worker.throttle import Look, Throttle

ROUNDS_MOST = 20
"""Chosen: how often one sweep looks again, past domains that turned out to be full."""


class Picker:
    """Leases for one sweep what there is room for.

    Args:
        connection: of the sweep's transaction, which holds the account's lock.
        throttle: asked for what is used of domains.
        task: as `journal.swept` reads it.
        limits: the task's.
        look: the state of its budgets.
        connections: of its account, as the breaker lets through.
        silent_after: a process without a heartbeat for so long is dead.

    Attributes:
        lanes: whose messages the task may take.
        used: of its budgets, before anything is leased.
    """

    def __init__(
        self,
        connection: Connection,
        throttle: Throttle,
        task: Row[Any],
        limits: Limits,
        look: Look,
        connections: int,
        silent_after: timedelta,
    ) -> None:
        self._connection = connection
        self._throttle = throttle
        self._task = task
        own = task.account_id == task.own_account_id
        self._detour = None if own else task.account_id
        self._largest = agenda.largest(limits)
        self._way = backlog.on_the_way(connection, task.account_id, task.id, silent_after)
        self._hidden = set(look.full_domains)
        self.lanes = backlog.lanes_of(connection, task.id)
        self.used = _used(look, self._way)
        self._room = agenda.room(limits, self.used, connections - self._way.account_messages)

    def pick(self, deadline: timedelta) -> tuple[list[Lease], Bound, int]:
        """Lease in rounds, each past the domains that the one before found full.

        Returns:
            The leases, what kept it from more, and how many recipients they have.

        Raises:
            ThrottleUnavailable: Redis gave no answer; what was leased must be rolled back.
        """
        leased: list[Lease] = []
        cost, bound = 0, Bound.WORK
        for _ in range(ROUNDS_MOST):
            found = self._candidates()
            chosen, bound = choose(found, self._room)
            cost += sum(one.cost for one in chosen)
            keys = [one.key for one in chosen]
            leased += leases.lease(self._connection, self._task.id, keys, deadline, self._detour)
            if bound is not Bound.DOMAIN:
                break
            self._hidden |= self._tight(found, set(keys))
        if bound is Bound.WORK:
            bound = self._passed_over()
        return leased, bound, cost

    def _candidates(self) -> list[Candidate[int]]:
        """Candidates, after their domains were counted."""
        found = backlog.candidates(
            self._connection,
            self.lanes,
            _most(self._room),
            sorted(self._hidden),
            self._largest,
        )
        if self._task.domain_hourly_limit is not None:
            self._count({name for one in found for name in one.domains})
        return found

    def _count(self, names: Iterable[str]) -> None:
        """Learn how much is used of domains, and have those noted that are full."""
        fresh = sorted(set(names) - set(self._room.domain_used))
        account = self._task.account_id
        logged = self._throttle.domains_used(account, fresh)
        self._room.domain_used |= {
            name: logged[name] + self._way.domains_released.get(name, 0) for name in fresh
        }
        # Full, and not known as such: a loss of the log took the note of it along.
        full = [name for name in fresh if logged[name] >= self._task.domain_hourly_limit]
        if full:
            self._throttle.note_full(account, full)

    def _tight(self, found: Sequence[Candidate[int]], chosen: set[int]) -> set[str]:
        """The domains for which candidates were passed over."""
        passed_over = [one for one in found if one.key not in chosen]
        return set().union(*(self._room.tight(one) for one in passed_over))

    def _passed_over(self) -> Bound:
        """What binds when no candidate is left: work, unless something ready was left out."""
        if self._hidden and backlog.any_ready(self._connection, self.lanes):
            return Bound.DOMAIN
        if backlog.any_too_big(self._connection, self.lanes, self._largest):
            return Bound.SIZE
        return Bound.WORK


def _most(room: Room) -> int:
    """How many candidates are of use: each costs at least 1, and one more tells what binds."""
    bounds = [room.connections, room.task]
    if room.account is not None:
        bounds.append(room.account)
    return max(min(bounds), 0) + 1


def _used(look: Look, way: OnTheWay) -> Used:
    return Used(
        now_us=look.now_us,
        tat_us=look.tat_us,
        task=look.task_used,
        task_oldest_us=look.task_oldest_us,
        account=look.account_used,
        account_oldest_us=look.account_oldest_us,
        domain_free_at_us=look.domain_free_at_us,
        task_released=way.task_released,
        account_released=way.account_released,
        domains={},
    )
