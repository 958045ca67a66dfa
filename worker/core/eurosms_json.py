"""The gateway's JSON as values that are fit to be stored, whatever it sent.

Its clients attest numbers as strings and strings as numbers, lists as single values, and nulls;
what has an unexpected type is read as if it were not there. Nothing here raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

from worker.core.replies import readable

LONGEST_WORD = 64
"""Characters kept of a code, key, number or uuid. Chosen: twice a uuid."""

_DIGITS = re.compile(r"\+?([0-9]{1,20})")
_VIBER = "v:"


class Unreadable:
    """What stands for a body that is not JSON; `reason` says what it is instead."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def read_json(body: bytes, content_type: str | None = None) -> object:
    """A body as JSON: mappings, lists, strings, int, Decimal, bool, None; else `Unreadable`.

    Bytes that are not UTF-8 are replaced, so that a word in another encoding spoils only itself.
    A number that is none (NaN, Infinity) is read as None.
    """
    text = body.decode("utf-8-sig", "replace")
    if not text.strip():
        return Unreadable("an empty answer")
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=lambda _: None)
    except (ValueError, ArithmeticError, RecursionError):
        return Unreadable(_kind(text, content_type))


def _kind(text: str, content_type: str | None) -> str:
    head = text.lstrip()
    if head.startswith("<") or "html" in (content_type or "").lower():
        return f"HTML or XML instead of JSON: {readable(head)[:200]}"
    if head[0] in "{[":
        return f"broken or truncated JSON: {readable(head)[:200]}"
    return f"no JSON: {readable(head)[:200]}"


def words(value: object) -> str:
    r"""A string or number as one line fit to be stored; "" for anything else.

    >>> words(" a\r\nb\x00 "), words(231), words(None), words(["a"])
    ('a b', '231', '', '')
    """
    if isinstance(value, str):
        return readable(value.encode("utf-8", "replace").decode())  # no lone surrogates
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return readable(str(value))
    return ""


def word(value: object) -> str:
    """As `words`, and short: a code, a key, an operator."""
    return words(value)[:LONGEST_WORD]


def digits(value: object) -> str | None:
    """A phone number as its digits, without "+".

    >>> digits(421903622237), digits("+421903622237"), digits("RZi")
    ('421903622237', '421903622237', None)
    """
    match = _DIGITS.fullmatch(words(value))
    return match[1] if match else None


def whole(value: object) -> int | None:
    """A number that is not negative, also when it came as a string."""
    found = words(value)
    return int(found) if re.fullmatch(r"[0-9]{1,18}", found) else None


def decimal(value: object) -> Decimal | None:
    """A finite number, also when it came as a string, with a decimal comma too."""
    found = words(value)
    try:
        number = Decimal(found.replace(",", "."))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def uuid(value: object) -> str | None:
    """A uuid in lower case, without the mark of Viber; None if there is none.

    >>> uuid("v:D0E17E57-F455-430E-844D-EAD6F88A18E4"), uuid(None)
    ('d0e17e57-f455-430e-844d-ead6f88a18e4', None)
    """
    found = word(value).lower().removeprefix(_VIBER).strip()
    return found or None


def uuids(value: object) -> tuple[str, ...]:
    """The uuids of a list, or of a single value; each once, in their order."""
    values = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(found for found in map(uuid, values) if found))


def entries(value: object) -> Iterator[Mapping[str, object]]:
    """The objects among the elements of a list; a single object is a list of one."""
    values = value if isinstance(value, list) else [value]
    return (element for element in values if isinstance(element, dict))
