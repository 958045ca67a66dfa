"""The circuit breaker of an SMTP account: a server that refuses us is left alone for a while."""

from __future__ import annotations

from datetime import datetime, timedelta

from worker.core.retry import backoff

FIRST = timedelta(seconds=5)
"""Chosen: a restart of the SMTP server is over in seconds."""
LONGEST = timedelta(minutes=5)
"""Chosen: and a longer outage should cost no more than that after its end."""


def open_for(failures: int, jitter: float, asked: float | None = None) -> timedelta:
    """How long an account is left alone after its n-th failure in a row, n from 1.

    Args:
        failures: n.
        jitter: chance, 0 up to 1.
        asked: seconds that the far side asked us to wait; heeded up to `LONGEST`.

    >>> open_for(1, jitter=0.0)
    datetime.timedelta(seconds=2, microseconds=500000)
    >>> open_for(1, jitter=0.0, asked=30.0)
    datetime.timedelta(seconds=30)
    """
    least = timedelta(seconds=min(asked or 0.0, LONGEST.total_seconds()))
    return max(backoff(failures, FIRST, LONGEST, jitter), least)


def connections(most: int, failures: int, until: datetime | None, now: datetime) -> int:
    """How many hand-overs at once the breaker lets through.

    Closed: all. Open: none. Half-open (the wait is over, no success yet): one, to try.

    >>> from datetime import UTC
    >>> t = datetime(2026, 1, 1, tzinfo=UTC)
    >>> [connections(4, 0, None, t), connections(4, 2, t + FIRST, t), connections(4, 2, t, t)]
    [4, 0, 1]
    """
    if until is not None and now < until:
        return 0
    return 1 if failures else most
