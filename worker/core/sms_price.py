"""What an SMS will cost, as far as that is known before it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Range:
    """Between what and what, in EUR; which operator serves a number shows only afterwards."""

    least: Decimal
    most: Decimal

    def times(self, segments: int) -> Range:
        """The same for so many segments."""
        return Range(self.least * segments, self.most * segments)


def estimate(prices: Mapping[str, Decimal], fallback: Decimal | None) -> Range | None:
    """What a segment to a country costs.

    What delivery reports have shown goes before what a person set: prices change, and the
    gateway bills by its own.

    Args:
        prices: EUR for a segment to each operator of the country, as reports last showed.
        fallback: EUR for a segment where they have not shown any.

    Returns:
        From the cheapest operator to the dearest, or None: nothing is known.

    >>> estimate({"231.1": Decimal("0.031"), "231.2": Decimal("0.029")}, None)
    Range(least=Decimal('0.029'), most=Decimal('0.031'))
    >>> estimate({}, Decimal("0.05")), estimate({}, None)
    (Range(least=Decimal('0.05'), most=Decimal('0.05')), None)
    """
    if prices:
        return Range(min(prices.values()), max(prices.values()))
    return None if fallback is None else Range(fallback, fallback)
