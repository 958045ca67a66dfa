"""Moments as whole µs since 1970, as Redis keeps them, and as datetimes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """An aware datetime in µs; exact, unlike its `timestamp()`.

    >>> to_us(datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC))
    1767225600000001
    """
    return (moment - EPOCH) // MICROSECOND


def from_us(moment_us: int) -> datetime:
    """The datetime, in UTC, of so many µs.

    >>> from_us(1767225600000001).isoformat()
    '2026-01-01T00:00:00.000001+00:00'
    """
    return EPOCH + moment_us * MICROSECOND
