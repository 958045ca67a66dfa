"""How much a token may ask, and how often an address may show a wrong one; counted in Redis."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import redis
import structlog
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import Storage
from limits.strategies import SlidingWindowCounterRateLimiter

from settings import Settings

log = structlog.get_logger()

WINDOW_SECONDS = 60
REST_SECONDS = 5.0
"""Chosen: how long Redis is left alone once it gave no answer, so that no request waits for it."""
TOLD_SECONDS = 60.0
"""Chosen: how often the log says that nothing is counted."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a limit says.

    Attributes:
        allowed: whether it is kept to.
        limit: how many a minute.
        left: how many more now.
        reset_seconds: until there is room again.
    """

    allowed: bool
    limit: int
    left: int
    reset_seconds: int

    @property
    def wait(self) -> str:
        """When to ask again, in words."""
        return f"{self.reset_seconds} s"

    @property
    def headers(self) -> dict[str, str]:
        """For the answer (draft-ietf-httpapi-ratelimit-headers)."""
        return {
            "RateLimit-Policy": f'"requests";q={self.limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"requests";r={self.left};t={self.reset_seconds}',
        }


class Ingress:
    """The limits. While Redis gives no answer nothing is counted, and everything allowed.

    That is safe here, unlike at the throttle: what is let in is only stored. PostgreSQL is the
    truth, and what leaves keeps its cadence.

    Args:
        storage: of `limits`.
        settings: with the limits.
        clock: seconds, monotonic.
    """

    def __init__(
        self, storage: Storage, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._requests = RateLimitItemPerMinute(settings.api_requests_minute)
        self._messages = RateLimitItemPerMinute(settings.api_messages_minute)
        self._failures = RateLimitItemPerMinute(settings.api_failures_minute)
        self._clock = clock
        self._rests_until = float("-inf")
        self._told_at = float("-inf")

    def request(self, token_id: int) -> Verdict | None:
        """Count one request of a token; None if nothing is counted."""
        return self._counted(lambda: self._hit(self._requests, "request", token_id, 1))

    def messages(self, token_id: int, count: int) -> Verdict | None:
        """Count messages that a token hands in: all of them, or none if there is no room."""
        return self._counted(lambda: self._hit(self._messages, "message", token_id, count))

    def failure(self, address: str | None) -> None:
        """Count a log-in that failed."""
        self._counted(lambda: self._limiter.hit(self._failures, "failure", network_of(address)))

    def bars(self, address: str | None) -> bool:
        """Whether too many log-ins from an address failed."""
        free = self._counted(
            lambda: self._limiter.test(self._failures, "failure", network_of(address))
        )
        return free is False

    def _hit(self, item: RateLimitItemPerMinute, what: str, token_id: int, cost: int) -> Verdict:
        names = what, str(token_id)
        allowed = self._limiter.hit(item, *names, cost=cost)
        stats = self._limiter.get_window_stats(item, *names)
        # Their times are this machine's clock, as are the library's own.
        seconds = max(0, min(WINDOW_SECONDS, round(stats.reset_time - time.time())))
        return Verdict(allowed, item.amount, stats.remaining, seconds if allowed else seconds or 1)

    def _counted(self, ask: Callable[[], T]) -> T | None:
        now = self._clock()
        if now < self._rests_until:
            return None
        try:
            return ask()
        except (StorageError, redis.RedisError) as error:
            self._rests_until = now + REST_SECONDS
            if now >= self._told_at + TOLD_SECONDS:
                self._told_at = now
                log.warning("Redis is away: requests are not counted", error=type(error).__name__)
            return None


def network_of(address: str | None) -> str:
    """What is counted as one address: of IPv6 the /64, which is one customer's.

    >>> network_of("192.0.2.7"), network_of("2001:db8::7"), network_of("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8::/64', '192.0.2.7')
    >>> network_of(None)
    'unknown'
    """
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:  # of a socket in the file system
        return "unknown"
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
