"""The throttle's client: each method runs one script, and tries it once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from itertools import islice
from typing import Any, TypeVar, cast
from uuid import UUID

import redis
from redis.exceptions import NoScriptError

from worker.throttle.budgets import (
    EPOCH,
    HISTORY,
    MARK,
    Asking,
    Budget,
    Look,
    Refused,
    account_key,
    domain_key,
    full_key,
    pace_key,
    task_key,
)
from worker.throttle.errors import LogLost, ThrottleUnavailable

SCRIPTS = ("acquire", "confirm", "refund", "look", "rebuild_begin", "rebuild_end")
CHUNK = 5000  # chosen: a few ms of Redis's time for each call of a rebuild

T = TypeVar("T")


class Throttle:
    """Permits, for the whole fleet.

    Args:
        client: one that repeats nothing by itself, as `worker.redis_servers` makes it.
        window_us: length of the window in which limits are counted.
        handover_max_us: the longest from a claim to the answer to its dot.
    """

    def __init__(self, client: redis.Redis, *, window_us: int, handover_max_us: int) -> None:
        self.client = client
        self.window_us = window_us
        self.handover_max_us = handover_max_us
        # Nothing in a log counts for longer: what idles until then may go as a whole.
        self._keep_ms = -(-(window_us + handover_max_us) // 1000)
        folder = files(__package__) / "lua"
        self._sources = {name: (folder / f"{name}.lua").read_text("utf-8") for name in SCRIPTS}

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
                full_key(asking.account_id),
                pace_key(asking.task_id),
                *(budget.key for budget in asking.budgets),
                HISTORY,
            ],
            [
                asking.generation,
                str(asking.permit),
                self.window_us,
                self.handover_max_us,
                asking.pace.interval_us,
                asking.pace.burst,
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
        raise _log_lost()

    def confirm(self, permit: UUID, budgets: Sequence[Budget]) -> None:
        """The far side answered: the permit begins to age.

        Raises:
            ThrottleUnavailable: it then ages from its latest possible answer instead.
        """
        keys, costs = [b.key for b in budgets], [b.cost for b in budgets]
        self._run("confirm", keys, [str(permit), self._keep_ms, *costs])

    def refund(self, permit: UUID, budgets: Sequence[Budget]) -> None:
        """Give back a permit whose MAIL FROM was never sent.

        Raises:
            ThrottleUnavailable: it then counts as used, which errs on the safe side.
        """
        keys, costs = [b.key for b in budgets], [b.cost for b in budgets]
        self._run("refund", keys, [str(permit), *costs])

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
                full_key(account_id),
                pace_key(task_id),
                task_key(task_id),
                account_key(account_id),
                HISTORY,
            ],
            [generation, self.window_us, domain_limit or 0, domain_key(account_id, "")],
        )
        if reply[0] != "ok":
            raise _log_lost()
        now, tat, used, oldest, account, account_oldest, free = (int(n) for n in reply[1:8])
        return Look(now, tat, used, oldest, account, account_oldest, free, tuple(reply[8:]))

    def domains_used(self, account_id: int, domains: Sequence[str]) -> dict[str, int]:
        """How much of each domain's budget is used at an account.

        Raises:
            ThrottleUnavailable: no answer.
        """
        seconds, micros = cast("tuple[int, int]", self._answer(self.client.time))
        left = seconds * 1_000_000 + micros - self.window_us
        pipe = self.client.pipeline(transaction=False)
        for domain in domains:
            pipe.zcount(domain_key(account_id, domain), f"({left}", "+inf")
        return dict(zip(domains, self._answer(pipe.execute), strict=True))

    def note_full(self, account_id: int, domains: Sequence[str]) -> None:
        """Say which domains of an account were found full; `look` forgets those that are not.

        Raises:
            ThrottleUnavailable: no answer; the next sweep finds them again.
        """
        self._answer(lambda: self.client.sadd(full_key(account_id), *domains))

    def begin_rebuild(self, nonce: str) -> int:
        """Leave the mark of a rebuild and return Redis's time in µs.

        Raises:
            ThrottleUnavailable: no answer.
        """
        return int(self._run("rebuild_begin", [MARK], [nonce]))

    def add_permits(self, entries: Iterable[tuple[str, str, int]]) -> None:
        """Add entries (key, member, score in µs), never lowering a score.

        Raises:
            ThrottleUnavailable: no answer; some of them may have been added.
        """
        remaining = iter(entries)
        while chunk := list(islice(remaining, CHUNK)):
            by_key: dict[str, dict[Any, Any]] = {}
            for key, member, score in chunk:
                by_key.setdefault(key, {})[member] = score
            pipe = self.client.pipeline(transaction=False)
            for key, members in by_key.items():
                pipe.zadd(key, members, gt=True)
                pipe.pexpire(key, self._keep_ms)
            self._answer(pipe.execute)

    def end_rebuild(self, nonce: str, generation: int) -> bool:
        """Open the log, unless it was lost again since `begin_rebuild`.

        Raises:
            ThrottleUnavailable: no answer; it may have been opened.
        """
        return bool(self._run("rebuild_end", [MARK, EPOCH, HISTORY], [nonce, generation]))

    def is_whole(self, generation: int) -> bool:
        """Whether the log is the one that the last rebuild filled.

        Raises:
            ThrottleUnavailable: no answer.
        """
        try:
            self.look(task_id=0, account_id=0, domain_limit=None, generation=generation)
        except LogLost:
            return False
        return True

    def _run(self, script: str, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        source = self._sources[script]
        digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

        def ask() -> Any:
            try:
                return self.client.evalsha(digest, len(keys), *keys, *args)
            except NoScriptError:  # it did not run; a new server, or SCRIPT FLUSH
                return self.client.eval(source, len(keys), *keys, *args)

        return self._answer(ask)

    def _answer(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except redis.RedisError as error:
            # The type only: a text may hold the address with its password.
            raise ThrottleUnavailable(f"Redis gave no answer ({type(error).__name__})") from None


def _log_lost() -> LogLost:
    return LogLost("the throttle's log is not the one that was last rebuilt")
