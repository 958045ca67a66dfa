"""Asking for a message's permit, and what becomes of it after the hand-over."""

from __future__ import annotations

import structlog

from worker.core.pace import pace_of
from worker.outbox.claims import Claim
from worker.throttle import Asking, LogLost, Throttle, ThrottleUnavailable, budgets_of

log = structlog.get_logger()

ASKED_AGAIN = 3
"""Chosen: how often a permit is asked for when Redis gives no answer."""


class Permits:
    """The throttle as a sending process uses it.

    Args:
        throttle: the fleet's.
        burst_us: how much of a cadence may leave at once after a pause, as a time.
    """

    def __init__(self, throttle: Throttle, burst_us: int) -> None:
        self._throttle = throttle
        self._burst_us = burst_us

    def asking(self, claim: Claim) -> Asking:
        """Everything that the permit of a claim is asked for, under the limits now in force."""
        return Asking(
            permit=claim.attempt,
            generation=claim.generation,
            task_id=claim.task_id,
            account_id=claim.account_id,
            pace=pace_of(claim.cadence, self._throttle.window_us, self._burst_us),
            paced=not claim.transactional,
            budgets=budgets_of(
                task_id=claim.task_id,
                task_limit=claim.cadence - (0 if claim.transactional else claim.reserve),
                account_id=claim.account_id,
                account_limit=claim.hourly_limit,
                domain_limit=claim.domain_hourly_limit,
                domains=claim.domains,
            ),
        )

    def ask(self, asking: Asking) -> str | None:
        """Ask for a permit; None if it was granted, else why not."""
        for asked in range(1, ASKED_AGAIN + 1):
            try:
                refused = self._throttle.acquire(asking)
            except ThrottleUnavailable as error:
                if asked == ASKED_AGAIN or isinstance(error, LogLost):
                    return str(error)
            else:
                return None if refused is None else f"no permit now: {refused.what}"
        raise AssertionError("unreachable")

    def refund(self, asking: Asking) -> None:
        """Give back what was perhaps granted, and not used."""
        try:
            self._throttle.refund(asking.permit, asking.budgets)
        except ThrottleUnavailable:
            log.warning("permit not refunded", permit=str(asking.permit))

    def confirm(self, asking: Asking) -> None:
        """Let a permit age from now on."""
        try:
            self._throttle.confirm(asking.permit, asking.budgets)
        except ThrottleUnavailable:
            log.warning("permit not confirmed", permit=str(asking.permit))
