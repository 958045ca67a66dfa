"""One SMS as the gateway takes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

REPORT = 1
"""Ask the operator for a delivery report."""
LONG = 2
"""More than one segment is allowed."""
DIACRITICS = 4
"""UCS-2; without it the gateway puts "?" for what GSM 03.38 has not got."""
HIGH_PRIORITY = 8
LOW_PRIORITY = 32

_NUMBER = re.compile(r"[1-9][0-9]{5,14}")
_OWN_KEY = re.compile(r"[!-~]{1,64}")


def flags_of(
    *,
    long: bool = False,
    diacritics: bool = False,
    high_priority: bool = False,
    low_priority: bool = False,
) -> int:
    """The flags of an SMS; a delivery report is always asked for.

    Raises:
        ValueError: both priorities.

    >>> flags_of(), flags_of(long=True), flags_of(long=True, diacritics=True)
    (1, 3, 7)
    """
    if high_priority and low_priority:
        raise ValueError("an SMS has one priority, not both")
    return (
        REPORT
        | LONG * long
        | DIACRITICS * diacritics
        | HIGH_PRIORITY * high_priority
        | LOW_PRIORITY * low_priority
    )


@dataclass(frozen=True, slots=True)
class Sms:
    """One SMS.

    Attributes:
        number: the recipient's, E.164 without "+": digits alone.
        own_key: comes back in reports; 1 to 64 visible ASCII characters.
        sender: as the gateway knows it.
        text: goes out exactly so.
        flags: see `flags_of`.
        ttl: seconds for which delivery is tried; None leaves it to the gateway.
        schedule: not before; None is at once. Aware; the wire has minutes, so it is rounded up.

    Raises:
        ValueError: one of them cannot go over the wire.
    """

    number: str
    own_key: str
    sender: str
    text: str
    flags: int = REPORT
    ttl: int | None = None
    schedule: datetime | None = None

    def __post_init__(self) -> None:
        if not _NUMBER.fullmatch(self.number):
            raise ValueError(f"not an international number in digits: {self.number!r}")
        if not _OWN_KEY.fullmatch(self.own_key):
            raise ValueError(f"not an own key: {self.own_key!r}")
        if self.ttl is not None and self.ttl <= 0:
            raise ValueError(f"a validity must be more than nought, not {self.ttl} s")
        if self.schedule is not None and self.schedule.tzinfo is None:
            raise ValueError("a time to send at needs a time zone")
        try:
            (self.sender + self.text).encode()
        except UnicodeEncodeError:
            raise ValueError("the sender or text has half of a surrogate pair") from None
