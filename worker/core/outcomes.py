"""What the far side made of an attempt."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The four ends of a hand-over that was begun."""

    ACCEPTED = "accepted"
    """The far side took responsibility (RFC 5321 section 6.1)."""
    DEFERRED = "deferred"
    """It refused for now, or the hand-over certainly ended before the final dot."""
    REJECTED = "rejected"
    """It refused for good."""
    UNKNOWN = "unknown"
    """The final dot may have gone out and no answer came (RFC 1047)."""
