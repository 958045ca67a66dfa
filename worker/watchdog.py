"""Telling whoever looks after this process that it does its work.

systemd hears it on a socket (sd_notify(3), WatchdogSec= in systemd.service(5)). Where it is not
there, as in Kubernetes, the time of a file says it, and a probe need not start Python to read it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def watchdog(address: str | None, file: Path | None = None) -> Callable[[], None]:
    """What says once more that this process lives; to nobody, if nothing is given.

    Args:
        address: of systemd's socket, as NOTIFY_SOCKET has it; "@" begins an abstract one.
        file: gets the present as its time; made where it is missing.
    """

    def alive() -> None:
        if address:
            _notify(address)
        if file is not None:
            with suppress(OSError):  # who does not look there loses nothing but our restart
                file.touch()

    return alive


def _notify(address: str) -> None:
    target = f"\0{address[1:]}" if address.startswith("@") else address
    # Who does not listen loses nothing but our restart.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
        way.sendto(b"WATCHDOG=1", target)
