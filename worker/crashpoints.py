"""Named points at which a test can have a process killed, to prove what survives.

Off by default, and then one comparison with None. Armed by the setting `KADENCIA_CRASH_AT`,
never in production.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum
from pathlib import Path


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


_armed: tuple[CrashPoint, Path] | None = None


def arm(what: str | None) -> None:
    """Have one process killed with SIGKILL at a point; None disarms.

    Args:
        what: POINT@FILE. Of all processes so armed, only the one that can create the file dies.

    Raises:
        ValueError: it names no crash point, or no file.
    """
    global _armed
    point, at, flag = (what or "").partition("@")
    if what is not None and not (at and flag):
        raise ValueError(f"{what!r} is not POINT@FILE")
    _armed = None if what is None else (CrashPoint(point), Path(flag))


def reach(point: CrashPoint) -> None:
    """Die here if this point is armed, and nobody has died for it yet."""
    if _armed is not None and _armed[0] is point:
        try:
            _armed[1].touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
