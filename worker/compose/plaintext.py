"""The text part of a message that came as HTML only."""

from __future__ import annotations

import re
from html import unescape

from html2text import HTML2Text

GROWTH_MAX = 2  # chosen: marks and the targets of links fit; `estimate_size` counts on it

_LEFT_OUT = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_BLANK_LINES = re.compile(r"\n\s*\n+")


class _Reader(HTML2Text):
    """Bounded, because nested lists and quotations are indented again on every line."""

    def __init__(self, room: int) -> None:
        super().__init__(bodywidth=0)  # readers wrap by themselves
        self.unicode_snob = True
        self.ignore_images = True
        self._room = room

    def outtextf(self, s: str) -> None:
        self._room -= len(s)
        if self._room < 0:
            raise ValueError("the text would be longer than the HTML accounts for")
        super().outtextf(s)


def derive_text(html: str) -> str:
    """Return what a reader without HTML is to see; empty if that is nothing.

    At most `GROWTH_MAX` times as long as the HTML. Never fails: HTML that the library
    cannot read loses its tags and nothing else.

    >>> print(derive_text('<p>Dobrý deň,</p><a href="https://firma.sk/f/7">faktúra</a>'))
    Dobrý deň,
    <BLANKLINE>
    [faktúra](https://firma.sk/f/7)
    """
    try:
        text = _Reader(GROWTH_MAX * len(html)).handle(html)
    except (AssertionError, IndexError, TypeError, ValueError):
        # html.parser asserts on declarations such as <![x; html2text trips over odd tables.
        text = unescape(_TAG.sub(" ", _LEFT_OUT.sub(" ", html)))
    return _BLANK_LINES.sub("\n\n", text).strip()
