"""The states of a message and of a recipient, and every move that is allowed.

Declared here once and enforced in one place: the trigger of `models/triggers.py`, which
no caller can go round.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum, StrEnum


class Channel(StrEnum):
    """Over what a message goes."""

    EMAIL = "email"
    SMS = "sms"


class MessageState(StrEnum):
    """Where a message stands."""

    READY = "ready"
    RELEASED = "released"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNDELIVERED = "undelivered"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    HELD = "held"
    UNKNOWN = "unknown"


S = MessageState

MOVES: dict[MessageState, frozenset[MessageState]] = {
    # ready → unknown: only after a restore from backup, when nobody knows what went meanwhile.
    # ready, released, held → sent: an earlier attempt's answer came after a resend was decided.
    # ready, released, held → delivered, undelivered: a receipt of an earlier attempt came then.
    # sending → delivered, undelivered: a retry for some, while receipts came from the others.
    S.READY: frozenset(
        {
            S.RELEASED,
            S.SENT,
            S.DELIVERED,
            S.UNDELIVERED,
            S.HELD,
            S.CANCELLED,
            S.EXPIRED,
            S.UNKNOWN,
        }
    ),
    S.RELEASED: frozenset(
        {
            S.READY,
            S.SENDING,
            S.SENT,
            S.DELIVERED,
            S.UNDELIVERED,
            S.SUPPRESSED,
            S.HELD,
            S.CANCELLED,
            S.EXPIRED,
            S.UNKNOWN,
        }
    ),
    S.SENDING: frozenset(
        {S.READY, S.SENT, S.DELIVERED, S.FAILED, S.UNDELIVERED, S.EXPIRED, S.UNKNOWN}
    ),
    S.UNKNOWN: frozenset(
        {S.READY, S.SENT, S.FAILED, S.DELIVERED, S.UNDELIVERED, S.EXPIRED, S.CANCELLED}
    ),
    S.SENT: frozenset({S.DELIVERED, S.UNDELIVERED, S.READY}),
    # From the ends there is one way back: a person prepares the message for sending again.
    # Else only a receipt moves them: one that says more than the last, or one that tells of an
    # attempt before the one that was refused.
    S.DELIVERED: frozenset({S.READY, S.UNDELIVERED}),
    S.UNDELIVERED: frozenset({S.READY, S.DELIVERED}),
    S.FAILED: frozenset({S.READY, S.DELIVERED}),
    S.SUPPRESSED: frozenset({S.READY}),
    S.EXPIRED: frozenset({S.READY}),
    S.CANCELLED: frozenset({S.READY}),
    S.HELD: frozenset({S.READY, S.SENT, S.DELIVERED, S.UNDELIVERED, S.CANCELLED, S.EXPIRED}),
}

ENDS = frozenset(
    {S.SENT, S.DELIVERED, S.FAILED, S.UNDELIVERED, S.SUPPRESSED, S.EXPIRED, S.CANCELLED}
)
"""States in which nothing more is tried by itself."""

SLOVAK: dict[MessageState, str] = {
    S.READY: "Pripravená na odoslanie",
    S.RELEASED: "Odosiela sa",
    S.SENDING: "Odosiela sa",
    S.SENT: "Odoslané",
    S.DELIVERED: "Doručené",
    S.FAILED: "Odoslanie neúspešné",
    S.UNDELIVERED: "Nedoručené",
    S.SUPPRESSED: "Zakázaný príjemca",
    S.EXPIRED: "Vypršala platnosť",
    S.CANCELLED: "Zrušená",
    S.HELD: "Neodosielať",
    S.UNKNOWN: "Neistá",
}

OBERON: dict[MessageState, str] = {
    S.READY: SLOVAK[S.READY],
    S.RELEASED: SLOVAK[S.READY],
    S.SENDING: SLOVAK[S.READY],
    S.SENT: SLOVAK[S.SENT],
    S.DELIVERED: SLOVAK[S.DELIVERED],
    S.FAILED: SLOVAK[S.FAILED],
    S.UNDELIVERED: SLOVAK[S.UNDELIVERED],
    S.SUPPRESSED: SLOVAK[S.HELD],
    S.EXPIRED: SLOVAK[S.FAILED],
    S.CANCELLED: SLOVAK[S.HELD],
    S.HELD: SLOVAK[S.HELD],
    S.UNKNOWN: SLOVAK[S.HELD],
}
"""Each state as one of the six that OBERON has for an SMS, for who reads only these.

*Neodosielať* is what OBERON leaves alone until a person decides: what a person held or cancelled,
who is barred, and an unknown SMS. Of that, *Odoslané* would say that it went, and *Odoslanie
neúspešné* ask for sending it once more, and perhaps twice; nobody knows either.
"""


class RecipientState(StrEnum):
    """Where one recipient of a message stands; the message's state is derived from them."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"


class RecipientKind(StrEnum):
    """The header in which a recipient is named; bcc in none."""

    TO = "to"
    CC = "cc"
    BCC = "bcc"


class AttemptState(StrEnum):
    """An attempt is open until the far side's answer, or its absence, closes it."""

    OPEN = "open"
    VOID = "void"
    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class IntakeSource(StrEnum):
    """By which way a service handed a document in."""

    SQL = "sql"
    CELERY = "celery"


class IntakeState(StrEnum):
    """Where a document stands that a service handed in."""

    WAITING = "waiting"
    """It is committed, and not yet a message."""
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    """It cannot become a message as it is; a person retries it or dismisses it."""
    DISMISSED = "dismissed"


class Priority(IntEnum):
    """Which message goes first; a transactional one may use the reserve of a cadence."""

    TRANSACTIONAL = 0
    NORMAL = 1
    BULK = 2


class Waits(StrEnum):
    """What an automatic task waits for until its next sweep."""

    WORK = "work"
    """Something ready."""
    DOMAIN = "domain"
    """Room under the limit of the domains that remain, or a message to another domain."""
    SLOT = "slot"
    CONNECTION = "connection"
    PLAN = "plan"


R = RecipientState


def derive(recipients: Collection[RecipientState]) -> MessageState:
    """A message's state, from those of its recipients.

    What is still to be done comes first, then what was reached, then why nobody was.

    >>> derive([R.SENT, R.PENDING, R.UNKNOWN]), derive([R.SENT, R.PENDING]), derive([R.SENT])
    (<MessageState.UNKNOWN: 'unknown'>, <MessageState.READY: 'ready'>, <MessageState.SENT: 'sent'>)
    """
    for recipient, message in (
        (R.UNKNOWN, S.UNKNOWN),
        (R.PENDING, S.READY),
        (R.SENT, S.SENT),
        (R.DELIVERED, S.DELIVERED),
        (R.UNDELIVERED, S.UNDELIVERED),
        (R.FAILED, S.FAILED),
    ):
        if recipient in recipients:
            return message
    return S.SUPPRESSED
