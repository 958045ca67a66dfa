"""The sender of an SMS, by the gateway's rules: a name, or a number."""

from __future__ import annotations

import re
import unicodedata

from worker.core.content import ContentError, shown
from worker.core.sms_text import transliterate

NAME_CHARACTERS_MAX = 11  # the address field of an SMS: 3GPP TS 23.040 section 9.1.2.5

_FOREIGN = re.compile(r"[^A-Za-z0-9 .-]")
_LETTER = re.compile("[A-Za-z]")
_DIGITS = re.compile(r"\+?([0-9]+)")
_INTERNATIONAL = re.compile("[1-9][0-9]{6,14}")  # at most 15 digits: ITU-T E.164
_EXAMPLE = "421903622237"
# Beside what transliterate() does: GSM 03.38 has these, a sender may not.
_IN_SENDER = str.maketrans({"_": "-", "ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O"})


def check_sender(text: str) -> str:
    """Return a sender as it goes to the gateway: a number loses its "+", a name stays.

    Raises:
        ContentError: it is neither a name (at most 11 of A–Z, a–z, 0–9, space, full stop, hyphen;
            a letter among them; no blank at either end) nor a full international number.

    >>> check_sender("+421903622237")
    '421903622237'
    >>> check_sender("Žltý kôň")
    Traceback (most recent call last):
    worker.core.content.ContentError: sender 'Žltý kôň': has the character 'Ž' at position 1, \
which may cost the delivery; write 'Zlty kon'
    """
    where = f"sender {shown(text)}"
    if not text.strip():
        raise ContentError("is blank", where, "give a name or a number")
    if text != text.strip():
        raise ContentError("has a blank at an end", where, f"write {shown(text.strip())}")
    digits = _DIGITS.fullmatch(text)
    if digits:
        return _number(digits[1], where)
    _check_name(text, where)
    return text


def _number(digits: str, where: str) -> str:
    if not _INTERNATIONAL.fullmatch(digits):
        raise ContentError(
            "is no full international number (7 to 15 digits, no zero first)",
            where,
            f"begin with the calling code, as in {_EXAMPLE}, or give a name with a letter",
        )
    return digits


def _check_name(text: str, where: str) -> None:
    foreign = _FOREIGN.search(text)
    if foreign:
        raise ContentError(
            f"has the character {shown(foreign.group())} at position {foreign.start() + 1},"
            " which may cost the delivery",
            where,
            _mend(text),
        )
    if not _LETTER.search(text):
        mend = f"add a letter, or write the number as in {_EXAMPLE}"
        raise ContentError("is neither a name with a letter nor a number", where, mend)
    if len(text) > NAME_CHARACTERS_MAX:
        what = f"has {len(text)} characters of at most {NAME_CHARACTERS_MAX}"
        raise ContentError(what, where, "shorten it")


def _mend(text: str) -> str:
    """Offer the same name in letters that may stand, if it then passes."""
    apart = unicodedata.normalize("NFD", transliterate(text).translate(_IN_SENDER))
    plain = "".join(character for character in apart if not unicodedata.combining(character))
    fits = len(plain) <= NAME_CHARACTERS_MAX and plain == plain.strip()
    if fits and _LETTER.search(plain) and not _FOREIGN.search(plain):
        return f"write {shown(plain)}"
    return f"write at most {NAME_CHARACTERS_MAX} of A–Z a–z 0–9 space . -"
