"""The credit of an account, as API version 2 says it in plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

BAD_INTEGRATION = "BAD_INT"
"""In an answer: there is no such integration ID."""

_BALANCE = re.compile(r"\s*(-?\d{1,12}(?:[.,]\d{1,6})?)\s*([A-Z]{3})\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left; the currency as its three letters."""

    amount: Decimal
    currency: str


def read_balance(body: bytes) -> Balance | None:
    r"""Read an answer; None if it is not a balance.

    >>> read_balance(b"80.693 EUR\n")
    Balance(amount=Decimal('80.693'), currency='EUR')
    """
    match = _BALANCE.fullmatch(body.decode("utf-8-sig", "replace"))
    return Balance(Decimal(match[1].replace(",", ".")), match[2]) if match else None
