"""The header fields that callers may fill: what they may hold, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from worker.core.content import ContentError, refuse_unsafe, shown
from worker.core.folding import fold, phrase, pieces, text_field

UNBROKEN_OCTETS_MAX = 900  # chosen: with any field name a line stays below 998 (RFC 5322 2.1.1)
SUBJECT_CHARACTERS_MAX = 998  # chosen: no reader shows as many
FIELD_NAME_CHARACTERS_MAX = 40  # chosen: an encoded word still fits on the name's line
OWN_FIELDS_MAX = 50  # chosen
OWN_OCTETS_MAX = 8_192  # of all own fields together; chosen: what servers take is finite
UNSUBSCRIBE_URIS_MAX = 4  # chosen: one of each scheme is usual

_FIELD_NAME = re.compile(r"[A-Za-z0-9_-]+")
_MESSAGE_IDS = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>(?: +<[!-;=?-~]+@[!-;=?-~]+>)*")
_URI = re.compile(r"(?:https://[^/?#@]+(?:[/?#].*)?|mailto:[^@?]+@[^@?]+(?:\?.*)?)", re.I)
_URI_CHARACTERS = re.compile(r"[!-;=?-~]+")  # visible ASCII without angle brackets
_FREE_TEXT = ("Organization", "Comments", "Keywords")
_STRUCTURED = (
    "References",
    "In-Reply-To",
    "Importance",
    "Priority",
    "Sensitivity",
    "Feedback-ID",
    "List-Id",
    "List-Help",
    "List-Owner",
    "List-Post",
    "List-Archive",
)
_OWN = {name.lower(): name for name in (*_FREE_TEXT, *_STRUCTURED)}
_REPEATABLE = {"comments", "keywords"}  # RFC 5322 section 3.6


def check_subject(text: str) -> str:
    """Return a subject without the spaces around it.

    Raises:
        ContentError: it is blank, too long, or has a line break or control character.

    >>> check_subject(" Faktúra č. 7 ")
    'Faktúra č. 7'
    """
    refuse_unsafe(text, "Subject")
    text = text.strip()
    if not text:
        raise ContentError("is blank", "Subject", "write one")
    if len(text) > SUBJECT_CHARACTERS_MAX:
        raise ContentError(
            f"is longer than {SUBJECT_CHARACTERS_MAX} characters", "Subject", "shorten it"
        )
    return text


def check_own_headers(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the caller's own header fields with their names as standards write them.

    Allowed are X-* (X-Kadencia-* are ours) and those that change neither who receives
    the message nor what it is made of.

    Raises:
        ContentError: a field is not allowed, malformed, doubled or too long.

    >>> check_own_headers([("in-reply-to", " <a@b.example>"), ("X-Číslo", "7")])
    Traceback (most recent call last):
    worker.core.content.ContentError: header 'X-Číslo': has a name that is not ASCII letters, \
digits, - and _; rename it
    """
    checked = tuple((_own_name(name), _own_value(name, value)) for name, value in pairs)
    if len(checked) > OWN_FIELDS_MAX:
        raise ContentError(f"are more than {OWN_FIELDS_MAX}", "headers", "leave some out")
    if sum(len(name) + len(value.encode()) for name, value in checked) > OWN_OCTETS_MAX:
        raise ContentError(f"exceed {OWN_OCTETS_MAX} octets", "headers", "shorten them")
    once = [
        name for name, _ in checked if name in _OWN.values() and name.lower() not in _REPEATABLE
    ]
    for name in once:
        if once.count(name) > 1:
            raise ContentError("is given more than once", f"header {name}", "give it once")
    return checked


def _own_name(name: str) -> str:
    where = f"header {shown(name)}"
    if not _FIELD_NAME.fullmatch(name):
        raise ContentError(
            "has a name that is not ASCII letters, digits, - and _", where, "rename it"
        )
    if len(name) > FIELD_NAME_CHARACTERS_MAX:
        raise ContentError(
            f"has a name of more than {FIELD_NAME_CHARACTERS_MAX} characters", where, "rename it"
        )
    lower = name.lower()
    if lower in _OWN:
        return _OWN[lower]
    if not lower.startswith("x-") or lower.startswith("x-kadencia-"):
        raise ContentError(
            "may not be set", where, f"use X-… or one of {', '.join(sorted(_OWN.values()))}"
        )
    return name


def _own_value(name: str, value: str) -> str:
    where = f"header {name}"
    refuse_unsafe(value, where)
    value = value.strip()
    if not value:
        raise ContentError("is blank", where, "give it a value or leave it out")
    if value.isascii() and max(map(len, pieces(value))) > UNBROKEN_OCTETS_MAX:
        raise ContentError(
            f"has a word of more than {UNBROKEN_OCTETS_MAX} characters", where, "shorten it"
        )
    if not value.isascii() and _OWN.get(name.lower()) in _STRUCTURED:
        raise ContentError("is not ASCII", where, "encode it as its standard says")
    if name.lower() in ("references", "in-reply-to") and not _MESSAGE_IDS.fullmatch(value):
        raise ContentError(
            "is not a list of message identifiers", where, "write them as <a@b.example>"
        )
    return value


def check_list_unsubscribe(uris: Iterable[str]) -> tuple[str, ...]:
    """Return the ways to unsubscribe (RFC 2369 section 3.2), https: and mailto: only.

    Raises:
        ContentError: one is of another scheme, malformed or too long, or they are too many.

    >>> check_list_unsubscribe(["https://firma.sk/odhlas?k=1", "mailto:odhlas@firma.sk"])
    ('https://firma.sk/odhlas?k=1', 'mailto:odhlas@firma.sk')
    """
    checked, where = tuple(uris), "List-Unsubscribe"
    if len(checked) > UNSUBSCRIBE_URIS_MAX:
        raise ContentError(f"has more than {UNSUBSCRIBE_URIS_MAX} URIs", where, "leave some out")
    for uri in checked:
        if not _URI_CHARACTERS.fullmatch(uri) or not _URI.fullmatch(uri):
            raise ContentError(
                f"has {shown(uri)}, which is no https: or mailto: URI in ASCII",
                where,
                "write it as https://host/path or mailto:name@domain, without angle brackets",
            )
        if len(uri) > UNBROKEN_OCTETS_MAX:
            raise ContentError(
                f"has a URI of more than {UNBROKEN_OCTETS_MAX} characters", where, "shorten it"
            )
    return checked


def unsubscribe_fields(uris: Sequence[str]) -> str:
    """Return List-Unsubscribe and, if a URI is https:, the one-click field (RFC 8058)."""
    if not uris:
        return ""
    last = len(uris) - 1
    fields = fold(
        "List-Unsubscribe", (f" <{u}>{',' if i < last else ''}" for i, u in enumerate(uris))
    )
    if any(uri.lower().startswith("https:") for uri in uris):
        fields += fold("List-Unsubscribe-Post", [" List-Unsubscribe=One-Click"])
    return fields


def own_field(name: str, value: str) -> str:
    """Return a field of the caller's, which passed `check_own_headers`.

    An ASCII value stays as it is, for programs read such fields, and not all decode.
    """
    refuse_unsafe(value, name)
    if value.isascii():
        return fold(name, pieces(value))
    if name != "Keywords":
        return text_field(name, value)
    phrases = [phrase(item.strip(), name) for item in value.split(",") if item.strip()]
    for chunks in phrases[:-1]:
        chunks[-1] += ","
    return fold(name, (chunk for chunks in phrases for chunk in chunks))
