"""Telling systemd that we live (sd_notify(3), WatchdogSec= in systemd.service(5))."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress


def watchdog(address: str | None) -> Callable[[], None]:
    """What tells systemd once more that this process lives; without an address, nothing.

    Args:
        address: of systemd's socket, as NOTIFY_SOCKET has it; "@" begins an abstract one.
    """
    if not address:
        return lambda: None
    target = f"\0{address[1:]}" if address.startswith("@") else address

    def alive() -> None:
        # Who does not listen loses nothing but our restart.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.sendto(b"WATCHDOG=1", target)

    return alive
