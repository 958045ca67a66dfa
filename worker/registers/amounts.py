"""Sums of money and spans of time as people write them."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from worker.core.content import shown
from worker.registers import RegisterError

EUR_MOST = Decimal("10000000")  # what numeric(12, 4) holds, with room to sum it up
EUR_STEP = Decimal("0.0001")
"""What prices are kept to."""

_SPAN = re.compile(r"([0-9]+)\s*([a-z]*)")
_SECONDS = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}


def euros(text: str) -> Decimal:
    """A sum in EUR.

    Raises:
        RegisterError: it is none, is below nothing, or finer than 0.0001 EUR.

    >>> euros("0,045"), euros("20 EUR"), euros("0")
    (Decimal('0.045'), Decimal('20'), Decimal('0'))
    """
    plain = text.strip().removesuffix("EUR").removesuffix("€").strip().replace(",", ".")
    try:
        amount = Decimal(plain)
    except InvalidOperation:
        raise RegisterError(
            f"{shown(text)} is no sum of money", "write it in EUR, as 0.045 or 20"
        ) from None
    if not amount.is_finite() or not 0 <= amount < EUR_MOST:
        raise RegisterError(f"{shown(text)} is no price or budget", "give 0 EUR or more")
    if amount != amount.quantize(EUR_STEP):
        raise RegisterError(f"{shown(text)} is too fine", f"round it to {EUR_STEP} EUR")
    return amount


def seconds(text: str) -> int:
    """A span of time in seconds.

    Raises:
        RegisterError: it is none.

    >>> seconds("3600"), seconds("48h"), seconds("10 min")
    (3600, 172800, 600)
    """
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None or found[2] not in _SECONDS:
        raise RegisterError(
            f"{shown(text)} is no span of time", "write seconds, or as 30min, 48h or 7d"
        )
    return int(found[1]) * _SECONDS[found[2]]
