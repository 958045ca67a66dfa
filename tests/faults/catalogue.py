"""Every fault there is."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults import others, postgres_fails, processes_die, redis_fails, smtp_fails
from tests.faults.fault import Fault

FAULTS: list[Fault] = [
    *processes_die.FAULTS,
    *redis_fails.FAULTS,
    *postgres_fails.FAULTS,
    *smtp_fails.FAULTS,
    *others.FAULTS,
]


def named(parts: Sequence[str]) -> list[Fault]:
    """Those whose names hold any of these words, whatever the case."""
    wanted = [part.lower() for part in parts]
    return [fault for fault in FAULTS if any(part in fault.name.lower() for part in wanted)]
