"""What the throttle raises when no permit may be taken for granted."""

from __future__ import annotations


class ThrottleUnavailable(Exception):
    """Redis could not be asked, so nothing may be sent."""


class LogLost(ThrottleUnavailable):
    """The log was lost, or this server is not the one that the last rebuild filled."""
