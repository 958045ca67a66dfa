"""The pace: the generic cell rate algorithm (GCRA) as arithmetic.

It spreads the sending, so that a cadence of 3,000 an hour does not leave in the first
minute. It carries no promise: that is the exact log's (`worker/throttle`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """One slot each `interval_us` in the long run, `burst` of them back to back."""

    interval_us: int
    burst: int

    def __post_init__(self) -> None:
        if self.interval_us < 1 or self.burst < 1:
            raise ValueError(f"interval_us and burst must be at least 1: {self}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a cost may go now, the state to keep, and how long to wait if not."""

    allowed: bool
    tat_us: int
    wait_us: int


def pace_of(limit: int, window_us: int, burst_us: int) -> Pace:
    """The pace that spreads `limit` evenly over a window.

    Args:
        limit: the cadence.
        window_us: length of its window in µs.
        burst_us: how much of it may leave at once after a pause, as a time.

    >>> pace_of(3000, 3_600_000_000, 10_000_000)
    Pace(interval_us=1200000, burst=8)
    >>> pace_of(100, 3_600_000_000, 10_000_000)
    Pace(interval_us=36000000, burst=1)
    """
    interval_us = max(window_us // limit, 1)  # rounded down: the log has the last word
    return Pace(interval_us, max(burst_us // interval_us, 1))


def admit(tat_us: int, now_us: int, pace: Pace, cost: int = 1) -> Verdict:
    """Decide whether `cost` may go now.

    The state is one number, the theoretical arrival time (TAT): the moment at which
    the pace would be idle again. A cost above the burst goes when it is idle.

    Args:
        tat_us: the state, µs since the epoch; 0 if there is none.
        now_us: the present, on the same clock.
        pace: interval and burst.
        cost: 1 or more.

    Source:
        ITU-T I.371, the virtual scheduling form; `cost` is our addition. The same
        decision in Lua is in `worker/throttle/lua/acquire.lua`, and a test on a real
        server holds the two equal.

    >>> admit(tat_us=2_000_000, now_us=1_000_000, pace=Pace(interval_us=500_000, burst=2))
    Verdict(allowed=False, tat_us=2000000, wait_us=500000)
    """
    next_tat = max(tat_us, now_us) + cost * pace.interval_us
    allow_at = next_tat - max(pace.burst, cost) * pace.interval_us
    if now_us < allow_at:
        return Verdict(allowed=False, tat_us=tat_us, wait_us=allow_at - now_us)
    return Verdict(allowed=True, tat_us=next_tat, wait_us=0)


def open_slots(tat_us: int, now_us: int, pace: Pace) -> int:
    """How much could go now, one after the other.

    >>> open_slots(tat_us=0, now_us=1_000_000, pace=Pace(interval_us=500_000, burst=2))
    2
    """
    debt_us = max(tat_us - now_us, 0)
    return max(pace.burst - -(-debt_us // pace.interval_us), 0)


def slots_open_at(tat_us: int, slots: int, pace: Pace) -> int:
    """The moment, in µs, from which `slots` (1 to the burst) could go at once."""
    return tat_us + (min(slots, pace.burst) - pace.burst) * pace.interval_us
