"""Whether a process still takes tasks from its queues, judged by the canaries sent to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

DEAF_SECONDS = 45.0
"""Chosen: after a restart of the broker they are back in seconds; a minute is too long."""


@dataclass(frozen=True, slots=True)
class Ear:
    """What is known of one part of a `kadencia worker`.

    Attributes:
        answered_at: when it last answered a canary, on the database's clock.
        waiting_since: when the oldest canary was sent that it has not answered, on the asker's
            monotonic clock, in seconds; None if it owes no answer.
    """

    answered_at: datetime | None = None
    waiting_since: float | None = None


def heard(ear: Ear, answered_at: datetime | None) -> Ear:
    """It has answered, if that is later than what was known: it owes nothing."""
    return ear if answered_at == ear.answered_at else Ear(answered_at)


def asked(ear: Ear, now: float) -> Ear:
    """A canary was sent."""
    return Ear(ear.answered_at, now if ear.waiting_since is None else ear.waiting_since)


def not_asked(ear: Ear) -> Ear:
    """A canary could not be sent, so silence proves nothing; those before may be lost as well."""
    return Ear(ear.answered_at)


def is_deaf(ear: Ear, now: float, *, busy: bool) -> bool:
    """Whether it has let its canaries lie for too long.

    Args:
        ear: what is known.
        now: the asker's monotonic clock, seconds.
        busy: every slot is in a hand-over, so none was free to answer.

    >>> ear = asked(Ear(), now=100.0)
    >>> is_deaf(ear, 130.0, busy=False), is_deaf(ear, 150.0, busy=False)
    (False, True)
    >>> is_deaf(ear, 150.0, busy=True)
    False
    """
    return not busy and ear.waiting_since is not None and now - ear.waiting_since > DEAF_SECONDS
