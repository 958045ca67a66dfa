"""The text of an SMS as it will go: what its automatic task allows, and what is made of it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from worker.core.content import ContentError, shown
from worker.core.sms_text import Encoding, check_sms_text, measure, saving, transliterate

SEGMENTS_MAX = 10  # chosen: 1,530 characters; the table `sms` holds to it as well
_NAMED_MOST = 10  # chosen: characters that an error lists


@dataclass(frozen=True, slots=True)
class TextRules:
    """What an automatic task allows; without one, everything.

    Attributes:
        task: its name.
        diacritics: whether texts may need UCS-2; else they are transliterated.
        long_texts: whether texts may take several segments.
    """

    task: str = ""
    diacritics: bool = True
    long_texts: bool = True


def fit(text: str, rules: TextRules, transliterated: bool | None = None) -> str:
    """The text as it is kept and sent.

    Args:
        text: as it was handed in, filled.
        rules: of the automatic task that will take it.
        transliterated: always, never, or (None) where the rules need it.

    Raises:
        ContentError: it is blank or too long, or the rules do not allow it.

    >>> fit("Vážený zákazník", TextRules("SMS", diacritics=False))
    'Vazeny zakaznik'
    >>> fit("Ďakujeme 🙂", TextRules("SMS", diacritics=False))
    Traceback (most recent call last):
    worker.core.content.ContentError: text: has '🙂', which GSM 03.38 lacks, and automatic task \
'SMS' allows no other encoding; remove it, or allow diacritics in the task
    """
    wanted = not rules.diacritics if transliterated is None else transliterated
    if wanted:
        text = transliterate(text)
    text = check_sms_text(text, SEGMENTS_MAX)
    measured = measure(text)
    task = f"automatic task {shown(rules.task)}"
    if not rules.diacritics and measured.encoding is Encoding.UCS2:
        raise ContentError(
            f"has {_foreign(text)}, which GSM 03.38 lacks, and {task} allows no other encoding",
            "text",
            "remove it, or allow diacritics in the task",
        )
    if not rules.long_texts and measured.segments > 1:
        saved = saving(text)
        shorter = f"{saved}, or shorten it" if saved is not None else "shorten it"
        raise ContentError(
            f"takes {measured.segments} segments, and {task} allows no long texts",
            "text",
            f"{shorter}, or allow long texts in the task",
        )
    return text


def units_left(text: str) -> int:
    """How many septets or UTF-16 units still fit before another segment begins.

    >>> units_left("a" * 158), units_left("á" * 71), units_left("a" * 152 + "€" + "a" * 153)
    (2, 63, 151)
    """
    segments = measure(text).segments
    # A plain letter is one unit in either encoding; no segment has more than 160.
    return bisect_left(range(1, 161), segments + 1, key=lambda n: measure(text + n * "a").segments)


def _foreign(text: str) -> str:
    found = list(dict.fromkeys(c for c in text if measure(c).encoding is Encoding.UCS2))
    more = len(found) - _NAMED_MOST
    listed = ", ".join(map(repr, found[:_NAMED_MOST]))
    return listed + (f" and {more} more" if more > 0 else "")
