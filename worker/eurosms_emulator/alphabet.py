"""What a text becomes on its way, and how many segments carry it.

Counted here by itself, and not by the product's own arithmetic: the gateway decides what is paid.
"""

from __future__ import annotations

LONG = 2
"""Flag: more than one segment is allowed."""
DIACRITICS = 4
"""Flag: the text travels as UCS-2, whatever is in it."""

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
"""Escaped, so each takes two septets (3GPP TS 23.038, 6.2.1.1)."""


def as_delivered(text: str, flags: int) -> str:
    """The text as the phone shows it.

    >>> as_delivered("Ďakujeme, 5 €", 1), as_delivered("Ďakujeme, 5 €", 5)
    ('?akujeme, 5 €', 'Ďakujeme, 5 €')
    """
    if flags & DIACRITICS:
        return text
    return "".join(one if one in _BASIC or one in _EXTENDED else "?" for one in text)


def segments(text: str, flags: int) -> int:
    """How many segments carry a text, given as it is delivered.

    No character is parted: neither an escape from what it escapes, nor the two halves of a
    surrogate pair.

    >>> [segments("a" * length, 1) for length in (160, 161, 306, 307)]
    [1, 2, 2, 3]
    >>> segments("a" * 152 + "€" + "a" * 152, 1), segments("😀" * 34, 5), segments("😀" * 36, 5)
    (3, 1, 2)
    """
    if flags & DIACRITICS:
        widths = [2 if ord(one) > 0xFFFF else 1 for one in text]
        whole, part = 70, 67
    else:
        widths = [2 if one in _EXTENDED else 1 for one in text]
        whole, part = 160, 153
    if sum(widths) <= whole:
        return 1
    count, room = 1, part
    for width in widths:
        if width > room:
            count, room = count + 1, part
        room -= width
    return count
