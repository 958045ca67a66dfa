"""What an answer in SMTP means: for the message, and for the account."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from worker.core.outcomes import Outcome


class Phase(StrEnum):
    """Where a dialogue stands: what was said last, or is being waited for."""

    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    """The content is on its way; the final dot is not."""
    DOT = "dot"
    """The final dot may have gone out."""
    RSET = "rset"


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer of a server.

    Attributes:
        code: 200 to 599.
        enhanced: its enhanced status code (RFC 2034), such as "4.2.1"; None if it gave none.
        text: its words on one line, fit to be stored and shown.
    """

    code: int
    enhanced: str | None
    text: str


NOT_THE_MESSAGE = frozenset({530, 534, 535, 538})
"""RFC 4954 section 6: we are not logged in as the server wants. No fault of the message."""

TOO_MANY_RECIPIENTS = 552
"""To RCPT, RFC 5321 section 4.5.3.1.10 has it taken as 452: old servers mean "no more of them"."""

OVERLOADED = frozenset({"3.1", "3.2", "4.5", "7.28"})
"""RFC 3463: mail system full, system not accepting messages, congestion. IANA: mail flood.

Not 4.7.1, 4.2.1 and the like: greylisting and a mailbox that gets too much speak of one
recipient, and must not slow down the account.
"""

LONGEST_TEXT = 1000
"""Characters kept of an answer. Chosen: twice the longest line of RFC 5321 section 4.5.3.1.5."""

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)")
_UNFIT = re.compile(r"[\x00-\x20\x7f-\x9f]+")


def classify(phase: Phase, code: int | None) -> Outcome:
    """What an answer makes of the recipients whom it concerns.

    Args:
        phase: what was answered.
        code: the answer's code; None if no complete, intelligible answer came.

    Source:
        RFC 5321 sections 4.2.1 and 4.2.5. 421 may answer anything (section 4.2.2) and promises
        nothing, so it defers, after the final dot too.

    >>> classify(Phase.RCPT, 550), classify(Phase.DOT, 421), classify(Phase.DATA, 354)
    (<Outcome.REJECTED: 'rejected'>, <Outcome.DEFERRED: 'deferred'>, <Outcome.ACCEPTED: 'accepted'>)
    >>> classify(Phase.BODY, None), classify(Phase.DOT, None)
    (<Outcome.DEFERRED: 'deferred'>, <Outcome.UNKNOWN: 'unknown'>)
    """
    if code is not None and code in NOT_THE_MESSAGE:
        return Outcome.DEFERRED
    if phase is Phase.RCPT and code == TOO_MANY_RECIPIENTS:
        return Outcome.DEFERRED
    kind = 0 if code is None else code // 100
    if kind == 5:
        return Outcome.REJECTED
    if kind == 4:
        return Outcome.DEFERRED
    if phase is Phase.DATA:
        return Outcome.ACCEPTED if code == 354 else Outcome.DEFERRED
    if kind == 2 and phase is not Phase.BODY:
        return Outcome.ACCEPTED
    return Outcome.UNKNOWN if phase is Phase.DOT else Outcome.DEFERRED


def slow_down(code: int | None, enhanced: str | None = None) -> bool:
    """Whether an answer says that the whole account should send less for a while.

    >>> slow_down(421), slow_down(451, "4.7.1"), slow_down(452, "4.3.1"), slow_down(250)
    (True, False, True, False)
    """
    if code is None:
        return False
    if code == 421 or code in NOT_THE_MESSAGE:
        return True
    return code >= 400 and enhanced is not None and enhanced.partition(".")[2] in OVERLOADED


def overall(outcomes: Sequence[Outcome]) -> Outcome:
    """What became of a message, from what became of each of its recipients, one or more.

    >>> overall([Outcome.REJECTED, Outcome.ACCEPTED, Outcome.DEFERRED])
    <Outcome.ACCEPTED: 'accepted'>
    >>> overall([Outcome.REJECTED, Outcome.DEFERRED])
    <Outcome.DEFERRED: 'deferred'>
    """
    for outcome in (Outcome.UNKNOWN, Outcome.ACCEPTED, Outcome.DEFERRED):
        if outcome in outcomes:
            return outcome
    return Outcome.REJECTED


def read(code: int, raw: bytes) -> Answer:
    r"""Make an answer of its code and the words behind it, lines joined by a line feed.

    >>> read(550, b"5.1.1 no such\n5.1.1 user\x00")
    Answer(code=550, enhanced='5.1.1', text='5.1.1 no such 5.1.1 user')
    """
    text = readable(raw.decode("utf-8", "replace"))
    return Answer(code, enhanced_status(code, text), text)


def enhanced_status(code: int, text: str) -> str | None:
    """The enhanced status code at the head of an answer; None if there is none.

    One whose class is not that of the reply code is none (RFC 2034 section 4).

    >>> enhanced_status(450, "4.2.1 too fast"), enhanced_status(450, "5.2.1 no")
    ('4.2.1', None)
    """
    match = _ENHANCED.match(text)
    return match[0] if match and int(match[1]) == code // 100 else None


def readable(text: str) -> str:
    r"""Fit for a log and a table: one line, no control characters, not endless.

    >>> readable("a\r\n\tb\x00")
    'a b'
    """
    return _UNFIT.sub(" ", text).strip()[:LONGEST_TEXT]
