"""The words with which EuroSMS takes or refuses an SMS, and what each asks of us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from worker.core.outcomes import Outcome


class Consequence(StrEnum):
    """What an answer of the gateway asks us to do."""

    ACCEPTED = "accepted"
    """It took the SMS."""
    PAUSE = "pause"
    """No SMS of the account will pass until a person acts: pause, alarm, charge no attempt."""
    SENDER = "sender"
    """It will not take this sender. Final for the SMS, and for all others of that sender."""
    REJECT = "reject"
    """It will not take this SMS."""
    SPLIT = "split"
    """Too many at once: ask again with fewer."""
    SLOW_DOWN = "slow-down"
    """It is asked too often: wait, and charge no attempt."""
    RETRY = "retry"
    """It refused for now, or in words unknown to us: try again, later each time."""
    UNKNOWN = "unknown"
    """It may have taken the SMS, or not."""


OUTCOMES: Mapping[Consequence, Outcome] = MappingProxyType(
    {
        Consequence.ACCEPTED: Outcome.ACCEPTED,
        Consequence.PAUSE: Outcome.DEFERRED,
        Consequence.SENDER: Outcome.REJECTED,
        Consequence.REJECT: Outcome.REJECTED,
        Consequence.SPLIT: Outcome.DEFERRED,
        Consequence.SLOW_DOWN: Outcome.DEFERRED,
        Consequence.RETRY: Outcome.DEFERRED,
        Consequence.UNKNOWN: Outcome.UNKNOWN,
    }
)
"""What each consequence makes of the SMS."""

GRAVITY = (
    Consequence.PAUSE,
    Consequence.SENDER,
    Consequence.REJECT,
    Consequence.SPLIT,
    Consequence.UNKNOWN,
    Consequence.SLOW_DOWN,
    Consequence.RETRY,
    Consequence.ACCEPTED,
)
"""The gravest first: of several reasons for one refusal, the first of these decides."""


class Certainty(StrEnum):
    """How well we know what a word means; nobody has asked a live account."""

    AGREED = "A"
    """Independent sources agree."""
    CITED = "B"
    """One source, which cites the vendor's specification."""
    SAID = "C"
    """One source, which cites nothing."""
    INFERRED = "D"
    """No source: our own conclusion."""


@dataclass(frozen=True, slots=True)
class SendCode:
    """One word of the gateway about an SMS handed to it.

    Attributes:
        code: as the gateway spells it.
        consequence: what we do.
        certainty: of its meaning.
        meaning: in our words.
    """

    code: str
    consequence: Consequence
    certainty: Certainty
    meaning: str


def _table(*codes: SendCode) -> Mapping[str, SendCode]:
    return MappingProxyType({code.code: code for code in codes})


SEND_CODES: Mapping[str, SendCode] = _table(
    SendCode("ENQUEUED", Consequence.ACCEPTED, Certainty.AGREED, "taken, and queued"),
    SendCode("ENQUEUD", Consequence.ACCEPTED, Certainty.CITED, "ENQUEUED, as once misprinted"),
    SendCode("NO_IID", Consequence.PAUSE, Certainty.AGREED, "no integration ID"),
    SendCode("WRONG_IID", Consequence.PAUSE, Certainty.AGREED, "an unknown integration ID"),
    SendCode("NO_SGN", Consequence.PAUSE, Certainty.AGREED, "no signature"),
    SendCode("WRONG_SIGNATURE", Consequence.PAUSE, Certainty.AGREED, "the signature is wrong"),
    SendCode("WRONG_KEY", Consequence.PAUSE, Certainty.SAID, "the integration key is wrong"),
    SendCode("NO_BALANCE", Consequence.PAUSE, Certainty.AGREED, "not enough credit"),
    SendCode("NO_SNDR", Consequence.SENDER, Certainty.AGREED, "no sender"),
    SendCode("WRONG_SENDER", Consequence.SENDER, Certainty.AGREED, "the sender is not allowed"),
    SendCode("NO_RCPT", Consequence.REJECT, Certainty.AGREED, "no number"),
    SendCode("WRONG_NUMBER", Consequence.REJECT, Certainty.AGREED, "no such number"),
    SendCode("NO_TXT", Consequence.REJECT, Certainty.AGREED, "no text"),
    SendCode("EMPTY_MESSAGE", Consequence.REJECT, Certainty.AGREED, "the text is empty"),
    SendCode("NO_MSG", Consequence.REJECT, Certainty.AGREED, "no messages in the batch"),
    SendCode("MSG_TOO_LONG", Consequence.REJECT, Certainty.AGREED, "the text is too long"),
    SendCode("WRONG_SCH", Consequence.REJECT, Certainty.SAID, "not a time to send at"),
    SendCode("IM_NOT_ALLOWED", Consequence.REJECT, Certainty.CITED, "Viber is not allowed"),
    SendCode(
        "IM_UNREGISTERED_SENDER", Consequence.REJECT, Certainty.CITED, "no such sender at Viber"
    ),
    SendCode("IM_MSG_EMPTY", Consequence.REJECT, Certainty.CITED, "the Viber text is empty"),
    SendCode("IM_MSG_TOO_LONG", Consequence.REJECT, Certainty.CITED, "the Viber text is too long"),
    SendCode("IM_TTL_OUT_OF_RANGE", Consequence.REJECT, Certainty.CITED, "no such Viber validity"),
    SendCode("TOO_MANY_MESSAGES", Consequence.SPLIT, Certainty.AGREED, "over 1,000 in one request"),
    SendCode("ERR_OTHER", Consequence.RETRY, Certainty.AGREED, "an error without a name"),
    SendCode(
        "FAILED", Consequence.RETRY, Certainty.AGREED, "the reasons are listed; this, if none is"
    ),
    SendCode("FAIL", Consequence.RETRY, Certainty.SAID, "as FAILED"),
    SendCode(
        "INTERNAL_ERROR", Consequence.UNKNOWN, Certainty.INFERRED, "it broke, before or after"
    ),
)
"""Every send code that is attested, by its spelling. Source: eurosms.com API 3.1.15, as cited by
public client libraries (chapters 10.6 and 13.1)."""

WRAPPERS = frozenset({"FAILED", "FAIL"})
"""Codes that only say that reasons are listed."""


def folded(code: str) -> str:
    """A code as it is compared: neither case nor surrounding space matters.

    >>> folded(" Enqueued ")
    'ENQUEUED'
    """
    return code.strip().upper()


def send_code(code: str) -> SendCode | None:
    """What is known of a code; None if it is not attested.

    >>> send_code("no_balance").consequence
    <Consequence.PAUSE: 'pause'>
    >>> send_code("THROTTLED") is None
    True
    """
    return SEND_CODES.get(folded(code))
