"""What becomes of a message after an attempt: done, again later, given up, or held."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from worker.core.outcomes import Outcome


class Next(StrEnum):
    """What the outbox does with the message."""

    DONE = "done"
    RETRY = "retry"
    GIVE_UP = "give up"
    EXPIRE = "expire"
    PARK = "park"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patiently an automatic task tries again.

    Attributes:
        first: the longest wait after the first deferral.
        longest: no wait is longer than this.
        most_attempts: charged attempts after which a message is given up.
    """

    first: timedelta
    longest: timedelta
    most_attempts: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What is next, and at which time if that is a retry."""

    next: Next
    at: datetime | None = None


def backoff(attempts: int, first: timedelta, longest: timedelta, jitter: float) -> timedelta:
    """Exponential back-off with equal jitter.

    Args:
        attempts: attempts made, 1 or more.
        first: the ceiling of the first wait; it doubles with each attempt.
        longest: the ceiling of all waits.
        jitter: 0 up to 1; the wait lies between half of its ceiling and the whole.

    >>> backoff(3, timedelta(minutes=1), timedelta(hours=1), jitter=0)
    datetime.timedelta(seconds=120)
    """
    # 30 doublings of a second are 34 years: enough, and timedelta does not overflow.
    doublings = min(max(attempts - 1, 0), 30)
    ceiling = min(first.total_seconds() * 2**doublings, longest.total_seconds())
    return timedelta(seconds=ceiling * (0.5 + 0.5 * jitter))


def decide(
    outcome: Outcome,
    attempts: int,
    policy: RetryPolicy,
    now: datetime,
    expires_at: datetime,
    jitter: float,
) -> Decision:
    """Decide what follows an attempt.

    Args:
        outcome: what the far side made of it.
        attempts: charged attempts, this one included.
        policy: the automatic task's.
        now: PostgreSQL's clock.
        expires_at: after this the message is worth nothing to its reader.
        jitter: chance, 0 up to 1.
    """
    if outcome is Outcome.ACCEPTED:
        return Decision(Next.DONE)
    if outcome is Outcome.UNKNOWN:
        return Decision(Next.PARK)
    if outcome is Outcome.REJECTED or attempts >= policy.most_attempts:
        return Decision(Next.GIVE_UP)
    at = now + backoff(attempts, policy.first, policy.longest, jitter)
    return Decision(Next.RETRY, at) if at < expires_at else Decision(Next.EXPIRE)


def resend_unknown(policy: str, unknowns: int, now: datetime, expires_at: datetime) -> bool:
    """Whether an unknown message is sent again without a person's word.

    At most once a message, never past its expiry, and only under the policy `resend`.

    >>> from datetime import UTC
    >>> t = datetime(2026, 1, 1, tzinfo=UTC)
    >>> resend_unknown("resend", 1, t, t + timedelta(hours=1))
    True
    >>> resend_unknown("resend", 2, t, t + timedelta(hours=1))
    False
    """
    return policy == "resend" and unknowns <= 1 and now < expires_at
