"""Whether somebody who answers an SMS wants no more of them."""

from __future__ import annotations

import re
import unicodedata

STOP_WORDS = frozenset(
    {
        "STOP",
        "STOPALL",
        "UNSUBSCRIBE",
        "END",
        "QUIT",
        "KONIEC",
        "ODHLAS",
        "ODHLASIT",
        "ZRUSIT",
        "NEPOSIELAT",
        "NEPOSIELAJTE",
    }
)
"""In capitals and without accents. Chosen: what operators ask senders to honour (CTIA Messaging
Principles 5.1.3), and how one says it in Slovak."""

_FIRST_WORD = re.compile(r"\W*(\w+)")


def asks_to_stop(text: str) -> bool:
    """Whether a text is a stop word, or begins with one; case and accents do not matter.

    >>> [asks_to_stop(text) for text in ("Stop!", "odhlásiť zo zoznamu", "Nonstop", "ok, stop")]
    [True, True, False, False]
    """
    first = _FIRST_WORD.match(_folded(text))
    return first is not None and first[1] in STOP_WORDS


def _folded(text: str) -> str:
    """In capitals, without accents."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(one for one in decomposed if not unicodedata.combining(one)).upper()
