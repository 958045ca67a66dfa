"""What may stand in a message's fields: the error for what may not, and the check of characters."""

from __future__ import annotations

import re

# Cc: C0, DEL and C1. U+2028 and U+2029 end a line for str.splitlines() and for some readers.
# Surrogates have no UTF-8 form, so they could never leave this process.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNENCODABLE = re.compile("[\x00\ud800-\udfff]")
JSON_VALUES_MAX = 500_000
"""Chosen: as Python's objects they take 65 MB at the most; few texts have as many commas."""
_SHOWN = 80  # characters of an offending value repeated in an error; chosen: one line


class ContentError(ValueError):
    """A part of a message is not fit to be sent. Sending it again will not help.

    Attributes:
        what: what is wrong, in words.
        where: the field, header, template part or attachment it is wrong in.
        mend: what a person or a calling service is to change.
    """

    def __init__(self, what: str, where: str, mend: str) -> None:
        super().__init__(what, where, mend)  # all three, or unpickling fails
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.mend}"


class TooLargeError(ContentError):
    """A message, once composed, would exceed the size that its SMTP account takes."""


def refuse_unsafe(text: str, where: str, error: type[ContentError] = ContentError) -> None:
    """Refuse characters that could end a line or cannot be encoded.

    Every header passes here: a CR or LF in a value would let the caller's data
    write headers of its own (header injection).

    Raises:
        ContentError: of the type `error`, naming the first such character.

    >>> refuse_unsafe("Dobrý deň", "Subject")
    >>> refuse_unsafe("Hi" + chr(10) + "Bcc: x@y.example", "Subject")
    Traceback (most recent call last):
    worker.core.content.ContentError: Subject: has the character U+000A at position 3; remove it
    """
    found = _UNSAFE.search(text)
    if found:
        raise error(_has(found), where, "remove it")


def check_text(text: str, where: str) -> None:
    """Refuse a body that cannot be stored or encoded: NUL and lone surrogates.

    Raises:
        ContentError: naming the first such character.
    """
    found = _UNENCODABLE.search(text)
    if found:
        raise ContentError(_has(found), where, "remove it")


def has_too_many_values(json: str | bytes | bytearray) -> bool:
    """Whether JSON holds more values than memory should, told before it is read.

    Each value begins after a bracket or a comma; those within texts count as well.

    >>> has_too_many_values('{"a": [1, 2]}'), has_too_many_values("[" + "[]," * 500_000 + "[]]")
    (False, True)
    >>> has_too_many_values(b'{"a": [1, 2]}')
    False
    """
    if isinstance(json, str):
        return sum(map(json.count, "[{,")) > JSON_VALUES_MAX
    return sum(map(json.count, (b"[", b"{", b","))) > JSON_VALUES_MAX


def _has(found: re.Match[str]) -> str:
    return f"has the character U+{ord(found.group()):04X} at position {found.start() + 1}"


def shown(text: str) -> str:
    r"""Return `text` as an error may repeat it: escaped, and at most about 80 characters.

    >>> print(shown("žltý" + chr(13)))
    'žltý\r'
    """
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
