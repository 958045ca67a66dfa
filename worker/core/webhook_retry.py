"""What follows an attempt to tell a webhook: done, again later, given up, or disabled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

WAITS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
    timedelta(hours=16),
    timedelta(hours=24),
    timedelta(hours=24),
    timedelta(hours=24),
    timedelta(hours=24),
)
"""After each attempt; after the last one comes one more, and it is given up.

Chosen: together they are longer than the five days after which a webhook is disabled by default,
so nothing is given up because its receiver was away for a weekend.
"""
JITTER = 0.25
"""Chosen: a wait is up to so much longer, so that what failed together comes apart."""

PATIENCE = 3
"""Chosen: so many failures in a row are the receiver's, not the event's."""
QUIET_FIRST = timedelta(seconds=5)
QUIET_LONGEST = timedelta(minutes=10)
"""Chosen: a receiver that is away is tried again this often at least, whatever waits for it."""
RETRY_AFTER_LONGEST = timedelta(hours=24)
ASKED_TO_WAIT = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said.

    Attributes:
        status: HTTP's; None if no answer came.
        why: why it was not taken; None if it was.
        retry_after: how long it asked us to wait.
    """

    status: int | None
    why: str | None
    retry_after: timedelta | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the receiver has it."""
        return self.why is None


@dataclass(frozen=True, slots=True)
class Next:
    """What becomes of a delivery and of its webhook.

    Attributes:
        at: when it is told again; None if it is not.
        quiet_until: nothing is told to this webhook until then; None for no such time.
        disable: why the webhook is disabled; None if it is not.
    """

    at: datetime | None = None
    quiet_until: datetime | None = None
    disable: str | None = None


def read_status(status: int, retry_after: str | None, now: datetime) -> Answer:
    """What an HTTP answer means: 2xx has taken it, and nothing else has.

    >>> read_status(204, None, datetime(2026, 1, 1, tzinfo=UTC)).is_taken
    True
    >>> read_status(302, None, datetime(2026, 1, 1, tzinfo=UTC)).why
    'HTTP 302: redirects are not followed'
    """
    if 200 <= status < 300:
        return Answer(status, None)
    more = ": redirects are not followed" if 300 <= status < 400 else ""
    wait = read_retry_after(retry_after, now) if status in ASKED_TO_WAIT else None
    return Answer(status, f"HTTP {status}{more}", wait)


def read_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """How long the header Retry-After asks us to wait, a day at most; None if it does not.

    Source:
        RFC 9110 section 10.2.3: seconds, or a date.

    >>> now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> read_retry_after("120", now), read_retry_after("Thu, 01 Jan 2026 12:01:00 GMT", now)
    (datetime.timedelta(seconds=120), datetime.timedelta(seconds=60))
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = min(int(text[:9]), RETRY_AFTER_LONGEST.total_seconds())
        return timedelta(seconds=seconds)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return min(max(wait, timedelta(0)), RETRY_AFTER_LONGEST)


def wait_after(attempts: int, jitter: float) -> timedelta | None:
    """How long until the next attempt; None if there is none.

    Args:
        attempts: made so far, 1 or more.
        jitter: chance, 0 up to 1.

    >>> wait_after(1, 0), wait_after(1, 0.5), wait_after(len(WAITS) + 1, 0)
    (datetime.timedelta(seconds=5), datetime.timedelta(seconds=5, microseconds=625000), None)
    """
    return WAITS[attempts - 1] * (1 + JITTER * jitter) if attempts <= len(WAITS) else None


def quiet_after(failures: int) -> timedelta:
    """How long a webhook is left alone after so many failures in a row, of any of its deliveries.

    >>> [quiet_after(failures).seconds for failures in (2, 3, 5, 99)]
    [0, 5, 20, 600]
    """
    if failures < PATIENCE:
        return timedelta(0)
    # 10 doublings pass the longest wait, and timedelta does not overflow.
    doublings: int = 2 ** min(failures - PATIENCE, 10)
    return min(QUIET_FIRST * doublings, QUIET_LONGEST)


def decide(
    answer: Answer,
    attempts: int,
    failures: int,
    failing_since: datetime,
    now: datetime,
    patience: timedelta,
    jitter: float,
) -> Next:
    """What follows an attempt that was not taken.

    Args:
        answer: what the receiver said.
        attempts: of this delivery, this one included.
        failures: of this webhook in a row, this one included.
        failing_since: when the first of them was.
        now: PostgreSQL's clock.
        patience: a webhook that fails for longer is disabled.
        jitter: chance, 0 up to 1.
    """
    asked = answer.retry_after or timedelta(0)
    wait = wait_after(attempts, jitter)
    at = None if wait is None else now + max(wait, asked)
    if answer.status == HTTPStatus.GONE:
        return Next(at, disable="the receiver says that it is gone (HTTP 410)")
    if now - failing_since >= patience:
        return Next(at, disable=f"it has failed since {failing_since:%Y-%m-%d %H:%M} UTC")
    quiet = max(quiet_after(failures), asked)
    return Next(at, now + quiet if quiet else None)
