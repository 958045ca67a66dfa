"""What alarms are made from: the fleet at one moment."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """An automatic task; counts of attempts are those of the last 15 minutes.

    Attributes:
        id: its number; None for messages that no task has released.
        name: as people know it.
        server: the OAC server in charge of it.
        stands_in_for: its own OAC server, if another is in charge.
        unknown: messages that are unknown.
        attempts: closed and not void.
        rejected: of these.
        stranded: it is due, and that OAC server has no live process.
        sms: it sends SMS, not e-mails.
        paused_why: why the product has paused it; None if it has not.
        exhausted_until: a budget is used up until then; None if none is.
    """

    id: int | None
    name: str
    server: str
    unknown: int = 0
    attempts: int = 0
    rejected: int = 0
    stranded: bool = False
    sms: bool = False
    paused_why: str | None = None
    exhausted_until: datetime | None = None
    stands_in_for: str | None = None


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """An account that refused us last time: an SMTP account, or one at EuroSMS."""

    id: int
    name: str
    failures: int
    until: datetime | None
    why: str
    sms: bool = False


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """An enabled account at EuroSMS.

    Attributes:
        id: its number.
        name: as people know it.
        balance: EUR that were left when it was last seen; None if it never was.
        price: EUR of a segment, the most that is known; None if nothing is.
        poll_failures: how often in a row reports were asked for in vain; 0 for an account whose
            integration another one stands for.
        poll_overdue: reports are awaited, and were not fetched for an hour.
        poll_why: why the last question failed.
    """

    id: int
    name: str
    balance: Decimal | None = None
    price: Decimal | None = None
    poll_failures: int = 0
    poll_overdue: bool = False
    poll_why: str = ""


@dataclass(frozen=True, slots=True)
class WebhookFacts:
    """A webhook of which a person should know.

    Attributes:
        id: its number.
        host: where it leads; the rest of its URL may hold a secret.
        disabled_why: why the product has disabled it; None if nobody tells it anything.
    """

    id: int
    host: str
    disabled_why: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the fleet at one moment."""

    stopped_why: str | None = None
    restored: bool = False
    tasks: Sequence[TaskFacts] = ()
    accounts: Sequence[AccountFacts] = ()
    gateways: Sequence[GatewayFacts] = ()
    silent_servers: Collection[str] = ()
    rejected: int = 0
    """Documents of the intake."""
    intake_stuck: bool = False
    """What was handed in has waited for longer than it takes to restart a server."""
    webhooks: Sequence[WebhookFacts] = ()
    """Those that the product has disabled, and those that no courier tells."""
