"""What the sink does wrong on purpose, and to whom."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Kind(StrEnum):
    """A way to misbehave, and what its pattern is held against."""

    CLOSED = "closed"
    """421 in place of the greeting; pattern: the client's IP address."""
    BUSY = "busy"
    """421 to MAIL, then the connection closes; pattern: the sender."""
    DEFER = "defer"
    """450 to RCPT; the recipient, as in all that follow."""
    REFUSE = "refuse"
    """550 to RCPT."""
    GREYLIST = "greylist"
    """451 to RCPT until some seconds after a sender first wrote to this recipient."""
    DROP_BEFORE_DATA = "drop-before-data"
    """The connection closes in place of an answer to DATA."""
    DEFER_DATA = "defer-data"
    """451 after the final dot."""
    REFUSE_DATA = "refuse-data"
    """554 after the final dot."""
    DROP_AFTER_DOT = "drop-after-dot"
    """The mail is kept, and the connection closes in place of an answer."""
    SLOW = "slow"
    """The mail is kept, and the answer comes some seconds later."""


IN_SECONDS = frozenset({Kind.GREYLIST, Kind.SLOW})
"""Kinds whose number is a time; that of the others is how often it happens to one address."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to do wrong.

    Attributes:
        kind: which.
        pattern: shell pattern for addresses; case does not matter.
        number: seconds (default 1) or times (default always), see `IN_SECONDS`.
    """

    kind: Kind
    pattern: str
    number: float | None = None

    @property
    def seconds(self) -> float:
        """The number of a kind that counts in seconds."""
        return 1.0 if self.number is None else self.number

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read KIND:PATTERN[:NUMBER].

        Raises:
            ValueError: it is not of that form; the text says why.

        >>> Fault.parse("defer:*@slow.example:2")
        Fault(kind=<Kind.DEFER: 'defer'>, pattern='*@slow.example', number=2.0)
        """
        name, _, rest = text.partition(":")
        pattern, _, number = rest.partition(":")
        if name not in list(Kind):
            raise ValueError(f"{name!r} is no fault; choose from {', '.join(Kind)}")
        if not pattern:
            raise ValueError(f"{text!r} names nobody; write {name}:* for everybody")
        try:
            amount = float(number) if number else None
        except ValueError:
            raise ValueError(f"{number!r} in {text!r} is not a number") from None
        if amount is not None and not amount >= 0:
            raise ValueError(f"{number!r} in {text!r} must be 0 or more")
        return cls(Kind(name), pattern.lower(), amount)


class Faults:
    """The faults of one sink, and how often each has struck."""

    def __init__(
        self, faults: Iterable[Fault], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._faults = tuple(faults)
        self._clock = clock
        self._struck: Counter[tuple[Fault, str]] = Counter()
        self._first_seen: dict[tuple[str, str], float] = {}

    def strike(self, kind: Kind, addresses: Sequence[str]) -> Fault | None:
        """The fault of this kind that befalls one of these addresses now, if any; counts it."""
        for fault in self._faults:
            if fault.kind is not kind:
                continue
            for address in addresses:
                if not fnmatchcase(address.lower(), fault.pattern):
                    continue
                struck = self._struck[fault, address]
                if kind in IN_SECONDS or fault.number is None or struck < fault.number:
                    self._struck[fault, address] += 1
                    return fault
        return None

    def greylisted(self, sender: str, recipient: str) -> bool:
        """Whether this sender must wait before it may write to this recipient."""
        fault = self.strike(Kind.GREYLIST, [recipient])
        if fault is None:
            return False
        now = self._clock()
        first = self._first_seen.setdefault((sender, recipient), now)
        return now - first < fault.seconds
