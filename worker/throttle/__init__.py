"""The throttle: an exact log of permits in Redis, counted on Redis's own clock.

    ThrottleUnavailable  Redis gave no answer: nothing may be sent
    └── LogLost          it answered, but its log is not the whole one: rebuild first

No window of the given length holds more hand-overs than the limit in force at its last
permit. `docs/architecture.md` has the proof and what it assumes; the scripts are in `lua/`.
"""

from worker.throttle.budgets import (
    Asking,
    Budget,
    Look,
    Refused,
    account_key,
    budgets_of,
    domain_key,
    entries,
    task_key,
)
from worker.throttle.client import Throttle
from worker.throttle.errors import LogLost, ThrottleUnavailable

__all__ = [
    "Asking",
    "Budget",
    "LogLost",
    "Look",
    "Refused",
    "Throttle",
    "ThrottleUnavailable",
    "account_key",
    "budgets_of",
    "domain_key",
    "entries",
    "task_key",
]
