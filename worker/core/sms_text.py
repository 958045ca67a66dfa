"""The text of an SMS: its encoding, the segments it takes, and what dropping diacritics saves."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from worker.core.content import ContentError, check_text

# 3GPP TS 23.038 section 6.2.1, row by row. Its ESC is no character of a text.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")  # section 6.2.1.1: each is ESC and one septet more
_GSM = _BASIC | _EXTENSION

# What has no canonical decomposition into a letter of GSM 03.38. Digits raised or in fractions are
# left out on purpose: m² may be read as m2, but 10² as 102 and 1½ as 11/2 would say another thing.
_REPLACED = {
    **dict.fromkeys("„“”‟«»″", '"'),
    **dict.fromkeys("‚‘’‛‹›′´`", "'"),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("\t\u00a0\u2002\u2003\u2004\u2005\u2007\u2008\u2009\u200a\u202f", " "),
    **dict.fromkeys("\u2028\u2029\x85", "\n"),
    **dict.fromkeys("\u00ad\u200b\u2060\ufeff", ""),  # soft hyphen, and what has no width
    "…": "...",
    "•": "*",
    "×": "x",
    "©": "(c)",
    "®": "(R)",
    "™": "(TM)",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ð": "d",
    "Ð": "D",
    "þ": "th",
    "Þ": "Th",
    "ħ": "h",
    "Ħ": "H",
    "ŧ": "t",
    "Ŧ": "T",
    "ŋ": "n",
    "Ŋ": "N",
    "ı": "i",
    "ŀ": "l",
    "Ŀ": "L",
    "œ": "oe",
    "Œ": "OE",
    "ĳ": "ij",
    "Ĳ": "IJ",
    "ẞ": "SS",
    "ſ": "s",
    "ə": "e",
    "Ə": "E",
}

_WITH_MARKS = re.compile(".[\u0300-\u036f]*", re.DOTALL)
# Characters of one letter that are looked at; chosen: a Vietnamese letter is three. It bounds the
# work on a letter with thousands of marks, which Unicode's reordering sorts in quadratic time.
_LETTER_MAX = 8


class Encoding(StrEnum):
    """How the characters of an SMS travel (3GPP TS 23.038)."""

    GSM = "gsm"
    UCS2 = "ucs2"


# Units of the only segment, and of each of several: these carry a header of 6 octets (7 septets).
_ALONE = {Encoding.GSM: 160, Encoding.UCS2: 70}
_PART = {Encoding.GSM: 153, Encoding.UCS2: 67}


@dataclass(frozen=True, slots=True)
class Measured:
    """What a text takes on the air.

    Attributes:
        encoding: GSM 03.38 if it has every character, else UCS-2.
        units: septets of GSM 03.38, or 16-bit units of UTF-16.
        segments: how many SMS it becomes, and is paid for.
    """

    encoding: Encoding
    units: int
    segments: int


@dataclass(frozen=True, slots=True)
class Saving:
    """What is saved if a text drops its diacritics.

    Attributes:
        before: the text as it is.
        after: the text without diacritics; it takes fewer segments.
        text: the text without diacritics.
    """

    before: Measured
    after: Measured
    text: str

    def __str__(self) -> str:
        return f"drop the diacritics: {self._segments} segments"

    @property
    def slovak(self) -> str:
        """The same for an operator who reads Slovak."""
        return f"bez diakritiky: {self._segments} SMS"

    @property
    def _segments(self) -> str:
        return f"{self.before.segments} → {self.after.segments}"


def measure(text: str) -> Measured:
    r"""Count what `text` takes on the air, exactly as `split` parts it.

    Characters of the extension table (`^ { } [ ] ~ \ | €`, form feed) are two septets, those
    beyond U+FFFF two UTF-16 units. A single character outside GSM 03.38 makes the whole text
    UCS-2. An empty text is one segment.

    >>> measure("Cena: 5 €")
    Measured(encoding=<Encoding.GSM: 'gsm'>, units=10, segments=1)
    >>> measure("Ďakujeme")
    Measured(encoding=<Encoding.UCS2: 'ucs2'>, units=8, segments=1)
    """
    encoding = _encoding(text)
    return Measured(encoding, _units(text, encoding), len(split(text)))


def split(text: str) -> list[str]:
    """Part `text` as it is sent: one segment if it fits, else segments filled in order.

    Neither the two septets of an escaped character nor a surrogate pair straddles two segments,
    so a segment may stay one unit short, and a text that would just fit may take one more.

    >>> [len(part) for part in split("a" * 152 + "€" + "a" * 153)]
    [152, 152, 2]
    """
    encoding = _encoding(text)
    if _units(text, encoding) <= _ALONE[encoding]:
        return [text]
    parts, start, used = [], 0, 0
    for at, character in enumerate(text):
        width = _width(character, encoding)
        if used + width > _PART[encoding]:
            parts.append(text[start:at])
            start, used = at, 0
        used += width
    return [*parts, text[start:]]


def transliterate(text: str) -> str:
    """Write `text` in the letters of GSM 03.38 as far as they go.

    Letters lose the marks that GSM 03.38 lacks and keep those it has (é, ä, ö, ü, …); typographic
    quotes, dashes and spaces become plain. What cannot be carried over, such as Cyrillic or an
    emoji, stays as it is.

    >>> transliterate("Vážený zákazník, „žltý kôň“ – 5 €…")
    'Vazeny zakaznik, "zlty kon" - 5 €...'
    """
    return _WITH_MARKS.sub(lambda found: _plain(found.group()), text)


def saving(text: str) -> Saving | None:
    """Return what dropping the diacritics saves, or None if it takes as many segments.

    >>> print(saving("Vážený zákazník, " + "á" * 100))
    drop the diacritics: 2 → 1 segments
    """
    before = measure(text)
    plain = transliterate(text)
    after = measure(plain)
    return Saving(before, after, plain) if after.segments < before.segments else None


def check_sms_text(text: str, most_segments: int) -> str:
    """Return the text of an SMS as it is kept and sent: CRLF becomes LF, nothing else changes.

    Raises:
        ContentError: it is blank, holds NUL or a lone surrogate, or takes more than
            `most_segments` segments.

    >>> check_sms_text("á" * 100, most_segments=1)
    Traceback (most recent call last):
    worker.core.content.ContentError: text: takes 2 segments of at most 1; \
drop the diacritics: 2 → 1 segments, or shorten it
    """
    check_text(text, "text")
    if not text.strip():
        raise ContentError("is blank", "text", "write one")
    text = text.replace("\r\n", "\n")
    segments = measure(text).segments
    if segments > most_segments:
        saved = saving(text)
        mended = saved is not None and saved.after.segments <= most_segments
        raise ContentError(
            f"takes {segments} segments of at most {most_segments}",
            "text",
            f"{saved}, or shorten it" if mended else "shorten it",
        )
    return text


def _encoding(text: str) -> Encoding:
    return Encoding.GSM if _GSM.issuperset(text) else Encoding.UCS2


def _units(text: str, encoding: Encoding) -> int:
    return sum(_width(character, encoding) for character in text)


def _width(character: str, encoding: Encoding) -> int:
    if encoding is Encoding.GSM:
        return 2 if character in _EXTENSION else 1
    return 2 if character > "\uffff" else 1


def _plain(letter: str) -> str:
    """Carry over one character with the marks that follow it, or leave it as it is."""
    if letter in _GSM:
        return letter
    composed = unicodedata.normalize("NFC", letter[:_LETTER_MAX])
    forms = [composed]
    apart = unicodedata.normalize("NFD", composed)
    if apart[0].isalpha():  # ≠ is = with a mark as well, and must not lose it
        forms += [unicodedata.normalize("NFC", apart[:2]), apart[0]]
    for form in forms:
        if form in _GSM:
            return form
        if form in _REPLACED:
            return _REPLACED[form]
    return letter
