"""Header fields: folded (RFC 5322), encoded (RFC 2047), with parameters (RFC 2231)."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from worker.core.addresses import Address, is_plain_phrase, quoted
from worker.core.content import refuse_unsafe

LINE_OCTETS_MAX = 76  # RFC 2047 section 2, where a line has an encoded word; RFC 5322 says 78
WORD_OCTETS_MAX = 75  # one encoded word: RFC 2047 section 2

_CRLF = "\r\n"
_Q = {octet: f"={octet:02X}" for octet in range(256)}
# RFC 2047 section 5 (3): what may stand for itself in a phrase may do so in any field.
_Q |= {ord(c): c for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/"}
_Q[0x20] = "_"
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`{|}~"  # RFC 2231 section 7, beside letters and digits
_WHOLE_OCTETS_MAX = 60  # of a parameter's value that stands unencoded; chosen: its line fits
_SECTION_OCTETS_MAX = 50  # of one piece of an encoded one: charset and number stand there too
_SIMPLE = re.compile(r"[!-~]{1,60}(?: [!-~]{1,60})*")
_PIECES = re.compile(r" *[^ ]+")
_TO_QUOTE = re.compile(r"[^\w.+/!#$&^{}-]", re.ASCII)


def text_field(name: str, text: str) -> str:
    r"""Return an unstructured field: as it is if it is plain ASCII, in encoded words otherwise.

    >>> text_field("Subject", "Objednávka 7")
    'Subject: =?utf-8?q?Objedn=C3=A1vka_7?=\r\n'
    """
    refuse_unsafe(text, name)
    return fold(name, pieces(text) if _is_simple(text) else _encoded(text, name))


def address_field(name: str, addresses: Sequence[Address]) -> str:
    r"""Return a field of mailboxes (RFC 5322 section 3.4).

    Domains are A-labels. A local part that is not ASCII stands there raw, as RFC 6532
    has it; the message then needs SMTPUTF8.

    >>> address_field("To", [Address("eva", "a.example", "a.example", "Eva s.r.o.")])
    'To: "Eva s.r.o." <eva@a.example>\r\n'
    """
    chunks: list[str] = []
    for address in addresses:
        if address.name:
            chunks += phrase(address.name, name)
            chunks.append(f" <{address.addr_spec}>,")
        else:
            chunks.append(f" {address.addr_spec},")
    chunks[-1] = chunks[-1].removesuffix(",")
    return fold(name, chunks)


def parameter_field(name: str, value: str, parameters: Iterable[tuple[str, str]]) -> str:
    r"""Return a field such as Content-Disposition, its parameters in RFC 2231's form if need be.

    >>> parameter_field("Content-Disposition", "attachment", [("filename", "č.pdf")])
    "Content-Disposition: attachment; filename*=utf-8''%C4%8D.pdf\r\n"
    """
    parts = [value]
    for key, given in parameters:
        refuse_unsafe(given, f"{name}, {key}")
        parts += _parameter(key, given)
    return fold(name, [f" {part};" for part in parts[:-1]] + [f" {parts[-1]}"])


def fold(name: str, chunks: Iterable[str]) -> str:
    """Return a field whose lines break between chunks, each of which begins with a space.

    Taking the line breaks out gives the chunks again, so nothing is added to a value. A
    chunk that is too long for a line stands alone on one.
    """
    lines, line = [], f"{name}:"
    for position, chunk in enumerate(chunks):
        if position and len((line + chunk).encode()) > LINE_OCTETS_MAX:
            lines.append(line)
            line = chunk
        else:
            line += chunk
    return _CRLF.join((*lines, line, ""))


def pieces(text: str) -> list[str]:
    """Split ASCII text into chunks to fold between: each word with the spaces before it."""
    return _PIECES.findall(" " + text)


def encoded_words(text: str, first: int = WORD_OCTETS_MAX) -> list[str]:
    """Return `text` as encoded words (RFC 2047), whole characters in each.

    Args:
        text: anything that UTF-8 can encode.
        first: octets that the first word may take; each other may take 75.

    >>> encoded_words("Objednávka 7")
    ['=?utf-8?q?Objedn=C3=A1vka_7?=']
    """
    encode = min(_q_word, _b_word, key=lambda way: len(way(text)))
    words, piece, room = [], "", first
    for character in text:
        if piece and len(encode(piece + character)) > room:
            words.append(encode(piece))
            piece, room = "", WORD_OCTETS_MAX
        piece += character
    return [*words, encode(piece)]


def _q_word(text: str) -> str:
    return f"=?utf-8?q?{''.join(map(_Q.__getitem__, text.encode()))}?="


def _b_word(text: str) -> str:
    return f"=?utf-8?b?{b64encode(text.encode()).decode()}?="


def _encoded(text: str, name: str) -> list[str]:
    room = LINE_OCTETS_MAX - len(name) - len(": ")
    return [f" {word}" for word in encoded_words(text, min(room, WORD_OCTETS_MAX))]


def phrase(text: str, name: str) -> list[str]:
    """Return the chunks of a phrase (RFC 5322 section 3.2.5) of the field `name`."""
    refuse_unsafe(text, name)
    if not _is_simple(text):
        return _encoded(text, name)
    return pieces(text if is_plain_phrase(text) else quoted(text))


def _is_simple(text: str) -> bool:
    """Whether text survives unencoded: short words of ASCII, single spaces, no encoded word."""
    return _SIMPLE.fullmatch(text) is not None and "=?" not in text


def _parameter(key: str, value: str) -> list[str]:
    if _is_simple(value) and len(value) <= _WHOLE_OCTETS_MAX and not set(value) & set('"\\%'):
        return [f'{key}="{value}"' if _TO_QUOTE.search(value) else f"{key}={value}"]
    escaped = [quote(character, safe=_ATTRIBUTE_CHARACTERS) for character in value]
    sections = [""]
    for character in escaped:
        if len(sections[-1]) + len(character) > _SECTION_OCTETS_MAX:
            sections.append("")
        sections[-1] += character
    if len(sections) == 1:
        return [f"{key}*=utf-8''{sections[0]}"]
    starts = ["utf-8''", *[""] * (len(sections) - 1)]
    return [
        f"{key}*{number}*={start}{section}"
        for number, (start, section) in enumerate(zip(starts, sections, strict=True))
    ]
