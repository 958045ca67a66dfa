"""When a backlog will be sent."""

from __future__ import annotations

from datetime import datetime, timedelta

from worker.core.plan import Plan


def expected_end(
    now: datetime, backlog: int, cadence: int, window: timedelta, plan: Plan | None
) -> datetime | None:
    """When the last of a backlog is handed over, if nothing else is enqueued or refused.

    Args:
        now: aware.
        backlog: envelope recipients that wait or are on the way.
        cadence: how many go in a window.
        window: of the cadence.
        plan: when the task may send; None is always.

    Returns:
        None if it lies beyond the week that a plan is looked ahead.

    >>> from datetime import UTC
    >>> expected_end(datetime(2026, 1, 1, tzinfo=UTC), 1500, 3000, timedelta(hours=1), None)
    datetime.datetime(2026, 1, 1, 0, 30, tzinfo=datetime.timezone.utc)
    """
    left = window * (backlog / cadence)
    if plan is None:
        return now + left
    for start, end in sorted(plan.runs(now)):
        opens = max(start, now)
        if end <= opens:
            continue
        if left <= end - opens:
            return opens + left
        left -= end - opens
        now = end  # runs that overlap are not counted twice
    return None
