"""Envelopes and accounts for tests of the transport."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from worker.transports import Envelope
from worker.transports.smtp import SmtpSettings, SmtpTransport

CONTENT = b"Message-ID: <1@example.com>\r\nSubject: Hello\r\n\r\nGood day.\r\n"


def envelope(
    *recipients: str, sender: str = "from@example.com", content: bytes = CONTENT, **more: Any
) -> Envelope:
    return Envelope(sender, recipients or ("to@example.com",), content, **more)


def transport(port: int, clock: Callable[[], float] = time.monotonic, **more: Any) -> SmtpTransport:
    """A transport to 127.0.0.1, in the clear unless told otherwise, with short patience."""
    known: dict[str, Any] = {
        "host": "127.0.0.1",
        "security": "none",
        "helo_name": "client.example",
        "command_timeout": 5.0,
    }
    return SmtpTransport(SmtpSettings(name="main", port=port, **{**known, **more}), clock)


def soon(seconds: float = 10.0) -> float:
    """A deadline for the final dot."""
    return time.monotonic() + seconds
