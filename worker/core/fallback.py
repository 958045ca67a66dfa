"""Which of its SMTP accounts an automatic task goes through now: the first that lets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """An account of a task, and how it fares.

    Attributes:
        account_id: of the account.
        name: as people call it.
        enabled: whether anything may go through it at all.
        failures: of its breaker, in a row; 0 when it is closed.
        until: when its breaker lets one message try, or let it.
        why: the far side's words when its breaker opened.
        on_the_way: messages that hold a connection of it; counted only while it is half-open.
    """

    account_id: int
    name: str
    enabled: bool = True
    failures: int = 0
    until: datetime | None = None
    why: str | None = None
    on_the_way: int = 0

    def usable(self, now: datetime) -> bool:
        """Whether a message may go through it now.

        One that is half-open takes a single message, to try. While that is on its way, the
        others go through the next account; so each account is tried again by a task that wants
        it, and nobody waits for the outcome.
        """
        if not self.enabled or (self.until is not None and now < self.until):
            return False
        return not self.failures or not self.on_the_way

    def hindrance(self, now: datetime) -> str:
        """Why it is passed over."""
        if not self.enabled:
            return f"“{self.name}” is disabled"
        if self.until is not None and now < self.until:
            return (
                f"“{self.name}” refuses us ({self.why})"
                if self.why
                else f"“{self.name}” refuses us"
            )
        return f"“{self.name}” is being tried again"


def in_charge(standings: Sequence[Standing], now: datetime) -> Standing:
    """The account that a task goes through now.

    Args:
        standings: of its accounts, one or more, its own first.
        now: the present.

    Returns:
        The first that is usable; if none is, the enabled one that can be tried soonest, else
        the first.

    >>> a, b = Standing(1, "a", enabled=False), Standing(2, "b")
    >>> from datetime import UTC
    >>> in_charge([a, b], datetime(2026, 1, 1, tzinfo=UTC)).name
    'b'
    """
    for one in standings:
        if one.usable(now):
            return one
    enabled = [one for one in standings if one.enabled]
    return min(enabled, key=lambda one: max(one.until or now, now)) if enabled else standings[0]


def detour(standings: Sequence[Standing], chosen: Standing, now: datetime) -> str | None:
    """Why a task goes through another account than its own; None if it does not."""
    if chosen.account_id == standings[0].account_id:
        return None
    passed = standings[: standings.index(chosen)]
    reasons = ", ".join(one.hindrance(now) for one in passed)
    return f"through the SMTP account “{chosen.name}”, since {reasons}"
