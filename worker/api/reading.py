"""From octets to what is handed in; what is wrong is told by its place, never by its value."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from worker.api.given import FILE_TAGS, Given
from worker.api.problems import Fault, Kind, Problem
from worker.core.content import JSON_VALUES_MAX, ContentError, has_too_many_values
from worker.enqueueing import KeyConflict

G = TypeVar("G", bound=Given)

FAULTS_MOST = 20
"""Chosen: whoever has more than these has understood."""

# `shown` writes what was sent as repr() does; of inline files the name comes without quotes.
_SENT = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?<=cid:)[^\s,]+|\S+@\S+""")

_POINTERS = (
    ("Subject", "/subject"),
    ("text", "/text"),
    ("HTML", "/html"),
    ("idempotency key", "/idempotency_key"),
    ("reference", "/reference"),
    ("not before", "/not_before"),
    ("expires at", "/expires_at"),
    ("field", "/fields"),
    ("header", "/headers"),
    ("List-Unsubscribe", "/list_unsubscribe"),
    ("number", "/number"),
    ("sender", "/sender"),
    ("attachment", "/attachments"),
    ("automatic task", "/task"),
    ("establishment", "/establishment"),
)


def read(model: type[G], octets: bytes | bytearray) -> G:
    """What is handed in as JSON.

    Raises:
        Problem: it is no JSON, not of this shape, or of more values than memory should hold.
    """
    if has_too_many_values(octets):
        raise Problem(
            Kind.TOO_LARGE, f"the body holds more than {JSON_VALUES_MAX:,} values; shorten `fields`"
        )
    try:
        return model.model_validate_json(octets)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    if any(one["type"] == "json_invalid" for one in found):
        raise Problem(Kind.MALFORMED, f"the body is no JSON: {found[0]['msg']}") from None
    faults = [_fault(one) for one in found[:FAULTS_MOST]]
    raise Problem(Kind.INVALID, _summary(len(found)), faults)


def invalid(pointer: str, detail: str) -> Problem:
    """The problem of one place."""
    return Problem(Kind.INVALID, _summary(1), [Fault(pointer, detail)])


def of_content(error: ContentError, pointer: str | None = None) -> Problem:
    """The problem of a draft that is not fit to be sent.

    Args:
        error: what is wrong with it; values that were sent are left out.
        pointer: where, if it is known better than by the error's own words.
    """
    if isinstance(error, KeyConflict):
        return Problem(Kind.KEY_CONFLICT, f"the key {error.what}; {error.mend}")
    place = _pointer(error.where) if pointer is None else pointer
    return invalid(place, f"{without_values(error.what)}; {error.mend}")


def without_values(words: str) -> str:
    """The same words without what was sent.

    >>> without_values("has the malformed type 'a b'; write it as type/subtype")
    'has the malformed type …; write it as type/subtype'
    """
    return _SENT.sub("…", words)


def _pointer(where: str) -> str:
    return next((pointer for words, pointer in _POINTERS if where.startswith(words)), "")


def _summary(count: int) -> str:
    return "one thing is wrong" if count == 1 else f"{count} things are wrong"


def _fault(error: ErrorDetails) -> Fault:
    parts = [part for part in error["loc"] if part not in FILE_TAGS]
    if error["type"] == "extra_forbidden":
        # The name is the sender's own, and might be anything.
        return Fault(_written(parts[:-1]), "has a member that is not known")
    return Fault(_written(parts), error["msg"])


def _written(parts: list[int | str]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
