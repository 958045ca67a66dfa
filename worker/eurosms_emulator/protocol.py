"""What a request to send must be like, and the code that each mistake gets."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.eurosms_emulator.alphabet import LONG, as_delivered, segments

MOST_MESSAGES = 1000
MOST_SEGMENTS = 255
"""The header of a part has one octet for their number (3GPP TS 23.040, 9.2.3.24.1)."""
VIBER = 128 | 256 | 512
KNOWN_FLAGS = 1 | 2 | 4 | 8 | 32 | VIBER

DESCRIPTIONS = {
    "ENQUEUED": "Message accepted and enqueued to send",
    "NO_IID": "Integration ID is missing",
    "WRONG_IID": "Integration ID is unknown",
    "NO_SGN": "Signature is missing",
    "WRONG_SIGNATURE": "Signature does not match",
    "NO_BALANCE": "Not enough credit",
    "NO_SNDR": "Sender is missing",
    "WRONG_SENDER": "Sender is not allowed",
    "NO_RCPT": "Recipient is missing",
    "WRONG_NUMBER": "Recipient number is invalid",
    "NO_TXT": "Text is missing",
    "EMPTY_MESSAGE": "Text is empty",
    "NO_MSG": "Messages are missing",
    "MSG_TOO_LONG": "Text is too long",
    "TOO_MANY_MESSAGES": "More than 1000 messages in one request",
    "WRONG_SCH": "Time of sending is invalid",
    "IM_NOT_ALLOWED": "Instant messages are not allowed",
    "ERR_OTHER": "The request cannot be understood",
    "ERR_NO_SUCH_UUID": "No such message",
    "INTERNAL_ERROR": "Internal error",
}

_NUMBER = re.compile(r"[1-9][0-9]{7,14}")
_LOCAL = re.compile(r"[679][0-9]{8}")
"""Nine digits of a Slovak or Czech mobile without their calling code."""
_FULL_LENGTHS = {"421": 12, "420": 12}
_NAME = re.compile(r"[A-Za-z0-9 .\-]{1,11}")


@dataclass(frozen=True, slots=True)
class Recipient:
    """One number to send to.

    Attributes:
        given: the number as it came: a JSON number or a string.
        digits: the same as text.
        key: the caller's own key for this SMS, if any.
    """

    given: Any
    digits: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A text to some numbers, as it was asked for.

    Attributes:
        codes: what is wrong with the whole of it; nothing is sent if there is any.
        sender: as the phone will show it.
        text: as the phone will show it.
        flags: the bits of `flgs`.
        segments: for each number.
        good: numbers that can be sent to.
        wrong: the others, as they came.
    """

    codes: tuple[str, ...]
    sender: str = ""
    text: str = ""
    flags: int = 0
    segments: int = 0
    good: tuple[Recipient, ...] = ()
    wrong: tuple[Any, ...] = ()

    @property
    def everybody(self) -> list[Any]:
        """All numbers as they came."""
        return [one.given for one in self.good] + list(self.wrong)


def signature_is_right(key: str, data: str, signature: object) -> bool:
    """Whether it is the HMAC of these characters, by SHA-1 or SHA-256, in hex of either case.

    >>> vector = "6F56060B6B7DB97CA25782B771CCA0A65077BD5B"
    >>> signature_is_right("Gh-s7-J6", "RZi421903622237Testovacia sprava", vector)
    True
    """
    if not isinstance(signature, str) or not signature.isascii():
        return False
    given = signature.lower()
    octets = data.encode("utf-8", "surrogatepass")
    return any(
        hmac.compare_digest(hmac.new(key.encode(), octets, digest).hexdigest(), given)
        for digest in (hashlib.sha1, hashlib.sha256)
    )


def is_number(digits: str) -> bool:
    """Whether these are the digits of a full international number.

    >>> [is_number(one) for one in ("421903622237", "0903622237", "903622237", "42190362")]
    [True, False, False, False]
    """
    if not _NUMBER.fullmatch(digits) or _LOCAL.fullmatch(digits):
        return False
    return len(digits) == _FULL_LENGTHS.get(digits[:3], len(digits))


def is_sender(sender: object) -> bool:
    """Whether it may be shown as the sender: a short name, or a full international number.

    >>> [is_sender(one) for one in ("RZi", "421903622237", "Čaj", "a_b", "+421903622237", "x" * 12)]
    [True, True, False, False, False, False]
    """
    if not isinstance(sender, str):
        return False
    return bool(_NAME.fullmatch(sender)) or is_number(sender)


def recipient(value: Any, key: Any = None) -> Recipient:
    """Read a number, or an object of number and own key; `digits` is empty if it is neither."""
    if isinstance(value, dict):
        value, key = value.get("r"), value.get("f", key)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    is_text = isinstance(value, str) and value.isascii() and value.isdigit()
    own = key if isinstance(key, str) and key else None
    return Recipient(value, str(value) if is_whole or is_text else "", own)


def message(
    fields: Mapping[str, Any], key: str, sender: Any = None, flags: Any = 0, most: int | None = None
) -> Message:
    """Read one text and its recipients, as in `send/one`, `send/o2m` or an element of `msgs`.

    Args:
        fields: of the JSON object.
        key: of the integration.
        sender: in place of a missing `sndr`.
        flags: in place of missing `flgs`.
        most: recipients; `MOST_MESSAGES` by default.
    """
    sender, flags = fields.get("sndr", sender), fields.get("flgs", flags)
    people = _recipients(fields)
    missing = list(_missing(fields, sender, people))
    if len(people) > (MOST_MESSAGES if most is None else most):
        missing.append("TOO_MANY_MESSAGES")
    if missing:
        return Message(tuple(missing), wrong=tuple(one.given for one in people))
    text, good = fields["txt"], tuple(one for one in people if is_number(one.digits))
    codes = list(_mistakes(fields, key, sender, people))
    if not _is_whole(flags) or flags & ~KNOWN_FLAGS or not isinstance(text, str):
        return Message((*codes, "ERR_OTHER"), wrong=tuple(one.given for one in people))
    shown = as_delivered(text, flags)
    count = segments(shown, flags)
    if count > (MOST_SEGMENTS if flags & LONG else 1):
        codes.append("MSG_TOO_LONG")
    if "im" in fields or flags & VIBER:
        codes.append("IM_NOT_ALLOWED")
    wrong = tuple(one.given for one in people if not is_number(one.digits))
    return Message(tuple(codes), str(sender), shown, flags, count, good, wrong)


def refusal(codes: Sequence[str], *, full: bool) -> dict[str, Any]:
    """The answer to a request that is refused as a whole: the first reason, or the list of all.

    >>> refusal(["NO_BALANCE"], full=False)
    {'err_code': 'NO_BALANCE', 'err_desc': 'Not enough credit'}
    """
    reasons = [{"err_code": code, "err_desc": DESCRIPTIONS.get(code, code)} for code in codes]
    return {"err_code": "FAILED", "err_list": reasons} if full else reasons[0]


def _recipients(fields: Mapping[str, Any]) -> list[Recipient]:
    if "rcpts" in fields:
        values = fields["rcpts"]
        return [recipient(one) for one in values] if isinstance(values, list) else []
    return [recipient(fields["rcpt"], fields.get("fid"))] if fields.get("rcpt") else []


def _missing(
    fields: Mapping[str, Any], sender: object, people: Sequence[Recipient]
) -> Iterator[str]:
    if fields.get("sgn") in (None, ""):
        yield "NO_SGN"
    if sender in (None, ""):
        yield "NO_SNDR"
    if not people:
        yield "NO_RCPT"
    text = fields.get("txt")
    if text is None:
        yield "NO_TXT"
    elif isinstance(text, str) and not text.strip():
        yield "EMPTY_MESSAGE"


def _mistakes(
    fields: Mapping[str, Any], key: str, sender: object, people: Sequence[Recipient]
) -> Iterator[str]:
    numbers = "".join(one.digits or str(one.given) for one in people)
    if not signature_is_right(key, f"{sender}{numbers}{fields['txt']}", fields["sgn"]):
        yield "WRONG_SIGNATURE"
    if not any(is_number(one.digits) for one in people):
        yield "WRONG_NUMBER"
    if not is_sender(sender):
        yield "WRONG_SENDER"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
