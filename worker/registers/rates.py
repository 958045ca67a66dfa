"""Rates as people write them, read by the library `limits`: "3000", "1000 per hour"."""

from __future__ import annotations

import limits

from worker.core.content import shown
from worker.registers import RegisterError

HOUR_SECONDS = 3600


def per_hour(text: str) -> int:
    """How many an hour.

    Raises:
        RegisterError: it is no rate, or one of another span: 50 a minute would let 3,000 go in
            an hour, but not in any minute, and a cadence promises nothing about minutes.

    >>> per_hour("3,000"), per_hour("1000/hour"), per_hour("500 per 1 hour")
    (3000, 1000, 500)
    """
    plain = text.replace(",", "").strip()
    if plain.removeprefix("-").isdecimal():
        return int(plain)
    try:
        rate = limits.parse(plain)
    except ValueError:
        raise RegisterError(
            f"{shown(text)} is no rate", "write a number an hour, as 1000 or 1000/hour"
        ) from None
    if rate.get_expiry() != HOUR_SECONDS:
        raise RegisterError(
            f"{shown(text)} is not counted by the hour",
            "a cadence holds in any 60 minutes: write it as 1000/hour",
        )
    return rate.amount
