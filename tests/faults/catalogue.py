"""Every fault there is."""

from __future__ import annotations

from tests.faults import others, postgres_fails, processes_die, redis_fails, smtp_fails
from tests.faults.fault import Fault

FAULTS: list[Fault] = [
    *processes_die.FAULTS,
    *redis_fails.FAULTS,
    *postgres_fails.FAULTS,
    *smtp_fails.FAULTS,
    *others.FAULTS,
]


def named(part: str) -> list[Fault]:
    """Those whose names hold these words, whatever the case."""
    return [fault for fault in FAULTS if part.lower() in fault.name.lower()]
