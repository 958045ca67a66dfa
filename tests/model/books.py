"""The model's own books on what has happened, and the promises that it holds the product to.

They are kept from what the SMTP server and the processes saw, never from what the product says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from tests.support.permits import Dot, excess
from worker.throttle import Budget

REFUSED = frozenset({"deferred", "rejected"})
UNDECIDED = frozenset({"ready", "released", "held", "unknown"})

LOST = "nothing is lost"
DOUBLED = "nothing is doubled without an unknown and a decision"
WINDOW = "no window exceeds its limit"
UNKNOWN = "an unknown has a crash, a lost answer or a stall behind it"
FENCE = "a stale lease changes nothing"
EVIDENCE = "an attempt says what the server said"
LIMIT = "a permit is asked for under the limits in force at the claim"


class Violation(AssertionError):
    """A promise was broken.

    Attributes:
        promise: which.
    """

    def __init__(self, promise: str, what: str) -> None:
        super().__init__(f"{promise}: {what}")
        self.promise = promise


@dataclass
class HandOver:
    """One claimed attempt, as the server and its process know it; times in µs.

    Attributes:
        verdict: what the server made of the mail; None if it has no final dot yet.
        silent: the server's answer never reached the process.
        granted: the place of its permit among all, 0 if there was none.
        pardoned: a person or the policy decided to send again although nobody knows.
    """

    attempt: UUID
    message: int
    claimed_us: int
    limits: Mapping[str, int]
    mailed: bool = False
    dot_us: int | None = None
    verdict: str | None = None
    silent: bool = False
    crashed: bool = False
    granted: int = 0
    budgets: Sequence[Budget] = ()
    pardoned: bool = False


@dataclass(frozen=True)
class Rows:
    """Messages and attempts as PostgreSQL has them, by id."""

    messages: Mapping[int, Row[Any]]
    attempts: Mapping[UUID, Row[Any]]


@dataclass
class Books:
    """What was enqueued, claimed, handed over, answered and decided.

    Args:
        window_us: length of the window.
        deadline_us: from a claim until it is taken for unknown.
    """

    window_us: int
    deadline_us: int
    enqueued: set[int] = field(default_factory=set)
    by_hand: dict[int, set[str]] = field(default_factory=dict)
    hand_overs: dict[UUID, HandOver] = field(default_factory=dict)
    dots: dict[str, list[Dot]] = field(default_factory=dict)
    grants: int = 0

    @staticmethod
    def lost(what: str) -> Violation:
        """What is to be raised for a message that is lost."""
        return Violation(LOST, what)

    def of(self, message: int) -> list[HandOver]:
        """A message's hand-overs, in the order of their claims."""
        return [one for one in self.hand_overs.values() if one.message == message]

    def claim(self, attempt: UUID, message: int, now_us: int, limits: Mapping[str, int]) -> None:
        """A process has claimed a message."""
        self.hand_overs[attempt] = HandOver(attempt, message, now_us, dict(limits))

    def grant(self, attempt: UUID, budgets: Sequence[Budget]) -> None:
        """Redis has granted a permit, whether or not the process heard of it."""
        one = self.hand_overs[attempt]
        asked = {budget.name.split()[0]: budget.limit for budget in budgets}
        if asked != one.limits:
            raise Violation(LIMIT, f"{asked} in place of {one.limits}")
        if not one.granted:
            self.grants += 1
            one.granted, one.budgets = self.grants, budgets

    def dot(self, attempt: UUID, now_us: int) -> None:
        """The server got a final dot: the moment that all is about."""
        one = self.hand_overs[attempt]
        for earlier in self.of(one.message):
            handed = earlier is not one and earlier.dot_us is not None
            if handed and earlier.verdict not in REFUSED and not earlier.pardoned:
                raise Violation(DOUBLED, f"message {one.message} is handed over again")
        one.dot_us = now_us
        if not one.granted:
            raise Violation(WINDOW, "a dot without a permit")
        for budget in one.budgets:
            dots = self.dots.setdefault(budget.name, [])
            dots.append(Dot(now_us, one.granted, budget.cost, budget.limit))
            over = excess(dots, self.window_us)
            if over > 0:
                raise Violation(WINDOW, f"{budget.name} holds {over} too many")

    def tightest_us(self) -> int:
        """The least time that held one dot more than a limit; hypothesis tries to make it small.

        While all is well it comes down to a window's length, and not below.
        """
        spans = [2 * self.window_us]
        for dots in self.dots.values():
            at = sorted(dot.at_us for dot in dots)
            more = min(dot.limit for dot in dots)
            spans += [end - begin for begin, end in zip(at, at[more:], strict=False)]
        return min(spans)

    def person(self, message: int, action: str, rows: Rows) -> None:
        """A person has moved a message; some moves decide what becomes of an unknown."""
        self.by_hand.setdefault(message, set()).add(action)
        if action in ("resolve_resend", "resend"):
            self._pardon(message, rows)

    def look(self, before: Rows, after: Rows, policy: str, now_us: int) -> None:
        """Compare what PostgreSQL holds after a move with the books."""
        if set(after.messages) != self.enqueued:
            raise Violation(LOST, "a message's row is missing")
        for attempt, row in after.attempts.items():
            old = before.attempts.get(attempt)
            if old is None or old.state != row.state:
                self._attempt(row, after, policy, now_us)
        for message, row in after.messages.items():
            if message not in before.messages or before.messages[message].state != row.state:
                self._message(row)

    def _attempt(self, row: Row[Any], rows: Rows, policy: str, now_us: int) -> None:
        one = self.hand_overs.get(row.id)
        if row.state == "unknown":
            stalled = one is not None and now_us > one.claimed_us + self.deadline_us
            if one is None or not (one.crashed or one.silent or stalled):
                raise Violation(UNKNOWN, f"of message {row.message_id}")
            message = rows.messages[row.message_id]
            # It is ready in the commit that closed its attempt: the policy has decided.
            if message.state == "ready" and policy == "resend" and message.unknowns <= 1:
                self._pardon(row.message_id, rows)
        elif row.state == "void":
            if one is not None and one.mailed:
                raise Violation(EVIDENCE, "an attempt that reached the server is void")
        elif row.state == "accepted" and (one is None or one.verdict != "accepted"):
            raise Violation(EVIDENCE, "accepted, but not by the server")

    def _message(self, row: Row[Any]) -> None:
        verdicts = {one.verdict for one in self.of(row.id)}
        by_hand = self.by_hand.get(row.id, set())
        justified = {
            "sent": "accepted" in verdicts or "resolve_sent" in by_hand,
            "failed": bool(verdicts & REFUSED),
            "cancelled": "cancel" in by_hand,
            "held": "hold" in by_hand,
            "expired": row.expires_at <= row.now,
        }
        if not justified.get(row.state, True):
            raise Violation(LOST, f"message {row.id} is {row.state}, and nothing made it so")

    def _pardon(self, message: int, rows: Rows) -> None:
        for one in self.of(message):
            attempt = rows.attempts.get(one.attempt)
            if attempt is not None and attempt.state == "unknown":
                one.pardoned = True

    def fence(self, attempt: UUID, message: int, claimed: bool, before: Rows, after: Rows) -> None:
        """Hold one step of a process to what its lease allows.

        Args:
            attempt: the token that the process works with.
            message: whose token it is.
            claimed: whether the process had claimed the message before the step.
            before: rows before the step.
            after: rows after it.
        """
        for number, row in after.messages.items():
            if row[1:-1] != before.messages[number][1:-1] and not (
                number == message and self._may_move(attempt, claimed, before, row)
            ):
                raise Violation(FENCE, f"message {number} went to {row.state}")
        for number, row in after.attempts.items():
            if number != attempt and row != before.attempts.get(number):
                raise Violation(FENCE, "another's attempt was changed")

    def _may_move(self, attempt: UUID, claimed: bool, before: Rows, now: Row[Any]) -> bool:
        row = before.messages[now.id]
        if row.lease == attempt and row.state == ("sending" if claimed else "released"):
            return True
        if not claimed:
            return False
        if row.state == "unknown" and self.of(row.id)[-1].attempt == attempt:
            return True  # a late answer to the last attempt
        accepted = self.hand_overs[attempt].verdict == "accepted"
        return accepted and row.state in UNDECIDED and now.state == "sent"
