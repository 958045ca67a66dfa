"""How an attempt without an answer was settled, as far as the evidence tells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Settled(StrEnum):
    """Who or what decided on a message that was unknown."""

    OPEN = "open"
    """Nobody yet."""
    PERSON = "person"
    RECEIPT = "receipt"
    POLICY = "policy"
    """The automatic task's policy sent it once more."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the audit log says: under which action a message left `unknown`, and when."""

    action: str
    at: datetime


def how_settled(
    decision: Decision | None, next_opened_at: datetime | None, *, is_unknown: bool
) -> Settled:
    """Who settled an unknown attempt.

    Persons and receipts sign the audit log; the policy does not, and is the only other way by
    which a message goes on from an attempt that has no answer to this day.

    Args:
        decision: the first after the attempt, if there is one.
        next_opened_at: when the message's next attempt was opened, if there is one.
        is_unknown: whether the message is unknown now.

    >>> how_settled(None, None, is_unknown=True)
    <Settled.OPEN: 'open'>
    """
    if decision is not None and (next_opened_at is None or decision.at <= next_opened_at):
        return Settled.RECEIPT if decision.action == "receipt" else Settled.PERSON
    if is_unknown and next_opened_at is None:
        return Settled.OPEN
    return Settled.POLICY
