"""Named points at which a test can have a process killed, to prove what survives.

Off by default, and then one comparison with None. Armed by the setting
`KADENCIA_CRASH_DIRECTORY`, never in production.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum
from pathlib import Path


class CrashPoint(StrEnum):
    """Arrows of beat, sweep, send and poll; `docs/architecture.md` says what each leaves."""

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
    POLL_ASKED = "poll-asked"
    POLL_ANSWERED = "poll-answered"
    BEAT_TAKEN = "beat-taken"


_armed_in: Path | None = None


def arm(directory: Path | None) -> None:
    """Have processes killed with SIGKILL at the points whose files are in a directory; None: none.

    A file is named as its point. Who reaches the point takes the file away and dies, so that
    each file kills one process.
    """
    global _armed_in
    _armed_in = directory


def reach(point: CrashPoint) -> None:
    """Die here if this point is armed, and nobody has died for it yet."""
    if _armed_in is not None:
        try:
            (_armed_in / point).unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
