"""Named points at which a test can have this process killed, to prove what survives.

Off by default, and then one comparison with None. Armed by the setting
`KADENCIA_CRASH_AT`, for one process and one point, never in production.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum


class CrashPoint(StrEnum):
    """The arrows of a sweep and of a send; `docs/architecture.md` says what each leaves behind."""

    SWEEP_LEASED = "sweep-leased"
    SWEEP_HALF_PUBLISHED = "sweep-half-published"
    CONNECTED = "connected"
    CLAIMED = "claimed"
    PERMITTED = "permitted"
    BEFORE_MAIL = "before-mail"
    BEFORE_DATA = "before-data"
    DOT_SENT = "dot-sent"
    ANSWERED = "answered"
    SETTLED = "settled"


_armed: CrashPoint | None = None


def arm(point: CrashPoint | None) -> None:
    """Have this process killed with SIGKILL when it next reaches `point`; None disarms."""
    global _armed
    _armed = point


def reach(point: CrashPoint) -> None:
    """Die here if this point is armed."""
    if _armed is not None and _armed is point:
        os.kill(os.getpid(), signal.SIGKILL)
