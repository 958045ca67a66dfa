"""What a claim of an SMS needs beyond an e-mail's: its text, the task's flags, the budgets."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from worker.core.content import ContentError
from worker.core.sms_price import estimate
from worker.outbox import settling, sms_budgets, sms_prices
from worker.outbox.claims import Claim

# What a sending process needs before the claim: whom to ask, and whether it may be asked.
ROUTE = text("""
    SELECT e.*, a.id, a.name, a.breaker_failures, m.traceparent,
        coalesce(a.breaker_until > clock_timestamp(), false) AS breaker_open
    FROM message m
    JOIN automatic_task t ON t.id = m.task_id
    JOIN account a ON a.id = t.account_id
    JOIN eurosms_account e ON e.account_id = a.id
    WHERE m.id = :id AND m.lease = :lease AND m.state = 'released'
""")

CONTENT = text("""
    SELECT s.text, coalesce(s.sender, k.sender) AS sender, s.sender IS NULL AS default_sender,
        s.encoding, s.segments, k.diacritics, k.long_texts, k.high_priority, e.price,
        least(make_interval(secs => k.validity_seconds), m.expires_at - clock_timestamp())
            AS validity
    FROM message m
    JOIN sms s ON s.message_id = m.id
    JOIN sms_task k ON k.task_id = m.task_id
    JOIN automatic_task t ON t.id = m.task_id
    JOIN eurosms_account e ON e.account_id = t.account_id
    WHERE m.id = :id
""")

SHORTEST_VALIDITY = timedelta(minutes=1)
"""Chosen: what expires at once would be accepted, paid for and never delivered."""


@dataclass(frozen=True, slots=True)
class SmsContent:
    """What is to be sent.

    Attributes:
        text: as it is written.
        sender: as the recipient sees it; `default_sender` if it is the task's.
        diacritics: the text needs UCS-2.
        long: it takes several segments.
        high_priority: before others at the gateway.
        validity: how long the gateway shall try.
    """

    text: str = field(repr=False)
    sender: str
    default_sender: bool
    diacritics: bool
    long: bool
    high_priority: bool
    validity: timedelta


def route(connection: Connection, message_id: int, token: uuid.UUID) -> Row[Any] | None:
    """The account at EuroSMS that a released SMS goes through; None if it is not ours."""
    return connection.execute(ROUTE, {"id": message_id, "lease": token}).one_or_none()


def take(connection: Connection, claim: Claim) -> SmsContent | None:
    """Read what a claimed SMS consists of, and charge it to the task's budgets.

    Args:
        connection: of the claim's transaction.
        claim: just made.

    Returns:
        None if a budget is too small for it: the claim was taken back.

    Raises:
        ContentError: it can never be sent like this.
    """
    row = connection.execute(CONTENT, {"id": claim.message_id}).one()
    _check(row)
    if not sms_budgets.spend(
        connection, claim.task_id, claim.attempt, _price(connection, claim, row)
    ):
        settling.undo(
            connection, claim.message_id, claim.attempt, "the budget of its task is used up"
        )
        return None
    return SmsContent(
        text=row.text,
        sender=row.sender,
        default_sender=row.default_sender,
        diacritics=row.encoding == "ucs2",
        long=row.segments > 1,
        high_priority=row.high_priority or claim.transactional,
        validity=max(row.validity, SHORTEST_VALIDITY),
    )


def _check(row: Row[Any]) -> None:
    """The task's flags may have changed since it was enqueued."""
    if row.text is None:
        raise ContentError(
            "was dropped after the set time", "the text", "enqueue the message again"
        )
    if row.encoding == "ucs2" and not row.diacritics:
        raise ContentError(
            "has diacritics, which its automatic task does not allow now",
            "the text",
            "allow them with `kadencia task set-sms … --diacritics` and send it again",
        )
    if row.segments > 1 and not row.long_texts:
        raise ContentError(
            f"takes {row.segments} segments, and its automatic task allows one now",
            "the text",
            "allow more with `kadencia task set-sms … --long` and send it again",
        )


def _price(connection: Connection, claim: Claim, row: Row[Any]) -> Decimal | None:
    """The most that it may cost as far as the account's reports have shown.

    Of a country that they have not shown it is guessed from others, since at nought no budget
    would ever be used up by it.
    """
    known = sms_prices.prices(connection, claim.account_id, claim.envelope[0].domain)
    fallback = row.price
    if not known and fallback is None:
        fallback = sms_prices.dearest(connection, claim.account_id)
    each = estimate(known, fallback)
    return None if each is None else each.most * int(row.segments)
