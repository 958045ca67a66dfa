"""The throttle: an exact log of permits in Redis, counted on Redis's own clock.

    ThrottleUnavailable  Redis gave no answer: nothing may be sent
    └── LogLost          it answered, but its log is not the whole one: rebuild first

No window of the given length holds more hand-overs than the limit in force at its last
permit. `docs/architecture.md` has the proof and what it assumes; the scripts are in `lua/`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeVar, cast
from uuid import UUID

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.core.pace import Pace

PREFIX = "kadencia:throttle:"
EPOCH = PREFIX + "epoch"
MARK = PREFIX + "rebuild"
CHUNK = 5000  # chosen: a few ms of Redis's time for each call of a rebuild

T = TypeVar("T")


class ThrottleUnavailable(Exception):
    """Redis could not be asked, so no permit may be taken for granted."""


class LogLost(ThrottleUnavailable):
    """The log was lost, or this server is not the one that the last rebuild filled."""


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
    """No permit now: which budget is full, or the pace, and until when (Redis time, µs)."""

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


def budgets_of(
    *,
    task_id: int,
    task_limit: int,
    account_id: int,
    account_limit: int | None,
    domain_limit: int | None,
    domains: Mapping[str, int],
) -> tuple[Budget, ...]:
    """Every budget that a message falls under; `domains` counts its recipients in each.

    A budget without a limit is kept as well, so that one set later counts from the start.
    """
    cost = sum(domains.values())
    unlimited = 2**31
    return (
        Budget(f"task {task_id}", task_key(task_id), task_limit, cost),
        Budget(
            f"SMTP account {account_id}", account_key(account_id), account_limit or unlimited, cost
        ),
        *(
            Budget(
                f"domain {name}",
                domain_key(account_id, name),
                domain_limit or unlimited,
                share,
                name,
            )
            for name, share in sorted(domains.items())
        ),
    )


def connect(url: str) -> redis.Redis:
    """A client that never repeats a command by itself and gives up in seconds.

    redis-py repeats by default; a repeated script would be harmless, one repeated after
    our own time-out would not be.
    """
    return redis.Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=3,
        socket_timeout=5,
        decode_responses=True,
    )


class Throttle:
    """Permits, for the whole fleet.

    Args:
        client: made by `connect`.
        window_us: length of the window in which limits are counted.
        handover_max_us: the longest from a claim to the answer to its dot.
    """

    def __init__(self, client: redis.Redis, *, window_us: int, handover_max_us: int) -> None:
        self._client = client
        self.window_us = window_us
        self.handover_max_us = handover_max_us
        sources = files(__package__) / "lua"
        self._scripts = {
            name: client.register_script((sources / f"{name}.lua").read_text())
            for name in ("acquire", "confirm", "refund", "look", "rebuild_begin", "rebuild_end")
        }

    def acquire(self, asking: Asking) -> Refused | None:
        """Take one permit under all budgets, or none; None means granted.

        Asking again with the same id after a lost answer is granted again.

        Raises:
            LogLost: the log must be rebuilt first.
            ThrottleUnavailable: no answer; the permit may or may not have been taken.
        """
        reply = self._run(
            "acquire",
            [
                EPOCH,
                _full_key(asking.account_id),
                _pace_key(asking.task_id),
                *(budget.key for budget in asking.budgets),
            ],
            [
                asking.generation,
                str(asking.permit),
                self.window_us,
                self.handover_max_us,
                asking.pace.interval_us,
                asking.pace.burst,
                asking.budgets[0].cost,
                int(asking.paced),
                *(arg for b in asking.budgets for arg in (b.limit, b.cost, b.domain)),
            ],
        )
        match reply:
            case ["granted"]:
                return None
            case ["pace", until]:
                return Refused("pace", int(until))
            case ["full", number, until]:
                return Refused(asking.budgets[int(number) - 1].name, int(until))
        raise LogLost("the throttle's log is not the one that was last rebuilt")

    def confirm(self, permit: UUID, budgets: Sequence[Budget]) -> None:
        """The far side answered: the permit begins to age.

        Raises:
            ThrottleUnavailable: it then ages from its latest possible answer instead.
        """
        self._run("confirm", [b.key for b in budgets], [str(permit), *(b.cost for b in budgets)])

    def refund(self, permit: UUID, budgets: Sequence[Budget]) -> None:
        """Give back a permit whose MAIL FROM was never sent.

        Raises:
            ThrottleUnavailable: it then counts as used, which errs on the safe side.
        """
        self._run("refund", [b.key for b in budgets], [str(permit), *(b.cost for b in budgets)])

    def look(
        self, *, task_id: int, account_id: int, domain_limit: int | None, generation: int
    ) -> Look:
        """See how much of a task's budgets is used.

        Raises:
            LogLost: the log must be rebuilt first.
            ThrottleUnavailable: no answer.
        """
        reply = self._run(
            "look",
            [
                EPOCH,
                _full_key(account_id),
                _pace_key(task_id),
                task_key(task_id),
                account_key(account_id),
            ],
            [generation, self.window_us, domain_limit or 0, domain_key(account_id, "")],
        )
        if reply[0] != "ok":
            raise LogLost("the throttle's log is not the one that was last rebuilt")
        now, tat, used, oldest, account, account_oldest, free = (int(n) for n in reply[1:9])
        return Look(now, tat, used, oldest, account, account_oldest, free, tuple(reply[9:]))

    def domains_used(self, account_id: int, domains: Sequence[str]) -> dict[str, int]:
        """How much of each domain's budget is used at an account.

        Raises:
            ThrottleUnavailable: no answer.
        """
        pipe = self._client.pipeline(transaction=False)
        for domain in domains:
            pipe.zcard(domain_key(account_id, domain))
        return dict(zip(domains, self._answer(pipe.execute), strict=True))

    def begin_rebuild(self, nonce: str) -> int:
        """Leave the mark of a rebuild and return Redis's time in µs."""
        return int(self._run("rebuild_begin", [MARK], [nonce])[1])

    def add_permits(self, entries: Sequence[tuple[str, str, int]]) -> None:
        """Add entries (key, member, score in µs), never lowering a score."""
        for start in range(0, len(entries), CHUNK):
            pipe = self._client.pipeline(transaction=False)
            by_key: dict[str, dict[str, int]] = {}
            for key, member, score in entries[start : start + CHUNK]:
                by_key.setdefault(key, {})[member] = score
            for key, members in by_key.items():
                pipe.zadd(key, cast("dict[Any, Any]", members), gt=True)
                pipe.pexpire(key, (self.window_us + self.handover_max_us) // 1000)
            self._answer(pipe.execute)

    def end_rebuild(self, nonce: str, generation: int) -> bool:
        """Open the log, unless it was lost again since `begin_rebuild`."""
        return bool(self._run("rebuild_end", [MARK, EPOCH], [nonce, generation]))

    def is_whole(self, generation: int) -> bool:
        """Whether the log is the one that the last rebuild filled."""
        try:
            self.look(task_id=0, account_id=0, domain_limit=None, generation=generation)
        except LogLost:
            return False
        return True

    def _run(self, script: str, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        return self._answer(
            functools.partial(self._scripts[script], keys=list(keys), args=list(args))
        )

    def _answer(self, ask: Any) -> Any:
        try:
            return ask()
        except redis.RedisError as error:
            # The type only: a text may hold the address with its password.
            raise ThrottleUnavailable(f"Redis gave no answer ({type(error).__name__})") from None


def _full_key(account_id: int) -> str:
    return f"{PREFIX}full:{account_id}"


def _pace_key(task_id: int) -> str:
    return f"{PREFIX}pace:{task_id}"
