"""Sending processes whose every step the model decides: the product's own code, held at each arrow.

A process runs `Delivery.send` on a thread of its own and stops wherever `worker.crashpoints` has
a name for the place. Only one thread ever runs: the model's, or the one that it has let go.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from uuid import UUID

import redis
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from settings import Settings
from tests.model.books import Books
from tests.model.clock import Clock, follow
from worker import db
from worker.core.replies import Answer, Phase
from worker.crashpoints import CrashPoint
from worker.delivery import Delivery
from worker.throttle import Asking, Throttle, ThrottleUnavailable
from worker.transports import Envelope, Reply
from worker.transports.transaction import DOT, Transaction
from worker.transports.wire import Lost
from worker.vault import Vault

SECOND = 1_000_000
CODES = {"accepted": 250, "deferred": 451, "rejected": 550}
CLAIMED = (CrashPoint.CLAIMED, "is ours now")


class Killed(BaseException):
    """SIGKILL: nothing of the process runs any more but what Python itself must end."""


class Stage(Protocol):
    """What a process needs of its surroundings."""

    engine: Engine
    settings: Settings
    clock: Clock
    books: Books
    masters: Sequence[redis.Redis]

    def limits(self) -> dict[str, int]:
        """The limits in force, by kind of budget."""
        ...


class Sender(threading.Thread):
    """One process, from taking a Celery task to its end.

    Attributes:
        at: where it is held; None before it began.
        claimed: whether the message was ever its own.
        cut: the answer to its next COMMIT is lost: "before" or "after" it took effect.
    """

    def __init__(self, stage: Stage, number: int, message_id: int, token: UUID) -> None:
        super().__init__(daemon=True)
        self.stage, self.message_id, self.token = stage, message_id, token
        self.throttle = WatchedThrottle(stage, self)
        vault, server = Vault([]), "main"
        self.delivery = Delivery(
            stage.engine, self.throttle, vault, stage.settings, server, f"main/model/{number}"
        )
        self.delivery._transports = _Transports(self)  # type: ignore[assignment]
        self.at: CrashPoint | None = None
        self.claimed = False
        self.cut: str | None = None
        self.told: str | None = None
        self._killed = False
        self._error: BaseException | None = None
        self._go, self._held = threading.Semaphore(0), threading.Semaphore(0)

    def run(self) -> None:
        self._go.acquire()
        try:
            if not self._killed:
                self.delivery.send(self.message_id, self.token)
        except Killed:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self.at = None
            self._done = True
            self._held.release()

    _done = False

    @property
    def alive(self) -> bool:
        """Whether there is anything left for it to do."""
        return not self._done

    def step(self) -> None:
        """Let it run to the next arrow, or to its end; raises what went wrong in it."""
        if self.ident is None:
            self.start()
        self._go.release()
        self._held.acquire()
        if self._done:
            self.join()
        if self._error is not None:
            raise self._error

    def kill(self) -> None:
        """End it where it is held."""
        self._killed = True
        if self.token in self.stage.books.hand_overs and self.claimed:
            self.stage.books.hand_overs[self.token].crashed = True
        if self.alive:
            self.step()

    def hold(self, point: CrashPoint) -> None:
        """Called on the thread itself: wait for the model."""
        self.at = point
        if point is CrashPoint.CLAIMED:
            self.claimed = True
            stage = self.stage
            stage.books.claim(self.token, self.message_id, stage.clock.now_us, stage.limits())
        self._held.release()
        self._go.acquire()
        if self._killed:
            raise Killed


def reach(point: CrashPoint) -> None:
    """In place of `worker.crashpoints.reach`."""
    thread = threading.current_thread()
    if isinstance(thread, Sender):
        thread.hold(point)


class CutDatabase:
    """In place of `worker.db` in `worker.delivery`: a COMMIT whose answer is lost, once."""

    share_lock = staticmethod(db.share_lock)

    @staticmethod
    @contextmanager
    def transaction(engine: Engine) -> Iterator[Connection]:
        thread = threading.current_thread()
        cut = None
        if isinstance(thread, Sender):
            cut, thread.cut = thread.cut, None
        with db.transaction(engine) as connection:
            yield connection
            if cut == "before":
                raise _lost_line()
        if cut == "after":
            raise _lost_line()


def _lost_line() -> OperationalError:
    return OperationalError("COMMIT", {}, Exception("the line was cut"))


class WatchedThrottle(Throttle):
    """A process's way to Redis: which master it sees, and whether the answers come through.

    Attributes:
        silences: how many answers are lost from now on.
        after: whether the script has run when its answer is lost.
    """

    def __init__(self, stage: Stage, sender: Sender | None = None, master: int = 0) -> None:
        settings = stage.settings
        super().__init__(
            stage.masters[master],
            window_us=round(settings.window_seconds * SECOND),
            handover_max_us=round(settings.handover_max_seconds * SECOND),
        )
        follow(self)
        self.silences, self.after = 0, False
        self._stage, self._sender = stage, sender
        self._asking: Asking | None = None

    def turn(self, master: int) -> None:
        """Another master answers at the address."""
        self.client = self._stage.masters[master]

    def acquire(self, asking: Asking) -> Any:
        self._asking = asking
        return super().acquire(asking)

    def _run(self, script: str, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        silent = self.silences > 0
        self.silences -= silent
        if silent and not self.after:
            raise ThrottleUnavailable("Redis gave no answer (model)")
        reply = super()._run(script, keys, args)
        if script == "acquire" and reply == ["granted"] and self._asking is not None:
            self._stage.books.grant(self._asking.permit, self._asking.budgets)
        if silent:
            raise ThrottleUnavailable("Redis gave no answer (model)")
        return reply


class _Transports:
    """In place of the kept connections: each leads to the model's SMTP server."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def of(self, _account: object) -> _Transport:
        return _Transport(self._sender)


class _Transport:
    """The product's dialogue over a wire of the model's."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    fresh = False

    def ready(self) -> None:
        """There is always a connection."""

    def close(self) -> None:
        """Nothing is kept."""

    def send(self, envelope: Envelope, dot_by: float) -> Reply:
        stage = self._sender.stage
        wire: Any = _Wire(self._sender)
        timeout = stage.settings.answer_timeout_seconds
        return Transaction(wire, envelope, dot_by, timeout, stage.clock.monotonic).run()


class _Wire:
    """What `worker.transports.wire.Wire` is to a dialogue; at its other end sit the books."""

    def __init__(self, sender: Sender) -> None:
        self._sender, self._stage = sender, sender.stage
        self.phase, self.latest, self.command_encoding = Phase.CONNECT, float("inf"), "ascii"
        self.sock: object | None = object()
        self._clock: Callable[[], float] = self._stage.clock.monotonic

    def say(self, phase: Phase, command: str, _rest: str = "") -> Answer:
        self.phase = phase
        if command == "MAIL":
            self._stage.books.hand_overs[self._sender.token].mailed = True
        if self._clock() > self.latest:
            raise Lost("no answer in time")
        return Answer(354 if command == "DATA" else 250, None, "model")

    def write(self, data: bytes, latest: float) -> None:
        if data == DOT:
            self._stage.books.dot(self._sender.token, self._stage.clock.now_us)
            self._dotted_at = self._clock()
        elif self._clock() > latest:
            raise Lost("no time left to write")

    def hear(self, timeout: float) -> Answer:
        told, one = self._sender.told, self._stage.books.hand_overs[self._sender.token]
        if told is None or self._clock() > self._dotted_at + timeout:
            one.silent = True
            raise Lost("no answer after the final dot")
        return Answer(CODES[told], None, "model")

    def has_extn(self, name: str) -> bool:
        return name == "8bitmime"

    def has_spoken(self) -> bool:
        return False

    def close(self) -> None:
        self.sock = None
