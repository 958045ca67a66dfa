"""When to try again, and after how long: decisions alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from kadencia_client.errors import Problem

PASSING = frozenset({408, 429, 502, 503, 504})
UNDER_WAY = "/problems/idempotency-under-way"


@dataclass(frozen=True, slots=True)
class Retrying:
    """How patient a client is.

    Attributes:
        tries: in a row without any progress, 1 or more; the default gives up after a minute.
        first_wait: seconds before the second try, at the most; they double.
        longest_wait: seconds between two tries, at the most; a server that asks for more is
            not waited for.
    """

    tries: int = 8
    first_wait: float = 0.5
    longest_wait: float = 30.0

    def wait(self, failed: int, chance: float, asked: float | None = None) -> float | None:
        """Seconds until the next try; None to give up.

        Args:
            failed: tries that have failed, 1 or more.
            chance: from 0 to 1, so that many clients do not come back at once.
            asked: seconds that the server asks for.

        >>> Retrying().wait(1, 1.0), Retrying().wait(3, 0.5), Retrying().wait(8, 0.5)
        (0.5, 1.5, None)
        >>> Retrying().wait(1, 0.0, asked=7.0), Retrying().wait(1, 0.0, asked=3600.0)
        (7.0, None)
        """
        if failed >= self.tries or (asked or 0) > self.longest_wait:
            return None
        most = min(self.first_wait * 2.0 ** min(failed - 1, 30), self.longest_wait)
        return max(most * (0.5 + chance / 2), asked or 0.0)


def is_passing(problem: Problem) -> bool:
    """Whether the same request may be answered otherwise in a while."""
    return problem.status in PASSING or problem.type == UNDER_WAY


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that a server asks for (RFC 9110 section 10.2.3); None if it does not.

    >>> moment = datetime(2026, 1, 1, tzinfo=UTC)
    >>> retry_after({"Retry-After": "Thu, 01 Jan 2026 00:00:05 GMT"}, moment)
    5.0
    >>> retry_after({"Retry-After": "soon"}, moment)
    """
    given = headers.get("Retry-After", "").strip()
    if given.isdecimal():
        return float(given)
    try:
        moment = parsedate_to_datetime(given)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
