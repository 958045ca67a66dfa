"""A small reader of e-mail that shares no code with what writes ours.

Strict where the standards are: it refuses bare line feeds, long lines and octets outside
ASCII in a body, instead of making the best of them.
"""

from __future__ import annotations

import quopri
import re
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

_ENCODED_WORD = re.compile(r"=\?([^?]+)\?([qQbB])\?([^? ]*)\?=")
_PARAMETER = re.compile(r';\s*([^=\s;]+)=("(?:\\.|[^"\\])*"|[^;\s]*)')
_SECTION = re.compile(r"([^*]+)(?:\*(\d+))?(\*)?")


@dataclass
class Part:
    """One entity: its fields, and its parts or its octets."""

    fields: list[tuple[str, str]]
    content: bytes = b""
    parts: list[Part] = field(default_factory=list)

    def raw(self, name: str) -> str:
        """Return a field unfolded and not decoded; it must be there once."""
        (value,) = [value for key, value in self.fields if key.lower() == name.lower()]
        return value

    def has(self, name: str) -> bool:
        return any(key.lower() == name.lower() for key, _ in self.fields)

    def words(self, name: str) -> str:
        """Return a field with its encoded words decoded."""
        return decode_words(self.raw(name))

    @property
    def media_type(self) -> str:
        return self.raw("Content-Type").split(";")[0].strip()

    @property
    def text(self) -> str:
        return self.content.decode(parameters(self.raw("Content-Type"))["charset"])

    @property
    def file_name(self) -> str:
        return parameters(self.raw("Content-Disposition"))["filename"]

    def walk(self) -> Iterator[Part]:
        yield self
        for part in self.parts:
            yield from part.walk()

    def find(self, media_type: str) -> Part:
        (found,) = [part for part in self.walk() if part.media_type == media_type]
        return found


def read(message: bytes) -> Part:
    """Read a message; AssertionError where it breaks RFC 5322 or 2045."""
    assert message.endswith(b"\r\n")
    for line in message.split(b"\r\n"):
        assert b"\r" not in line
        assert b"\n" not in line
        assert len(line) <= 998
    return _entity(message)


def _entity(octets: bytes) -> Part:
    head, blank, body = octets.partition(b"\r\n\r\n")
    assert blank, "no blank line after the header"
    part = Part([_field(line) for line in re.split(r"\r\n(?![ \t])", head.decode())])
    if not part.media_type.startswith("multipart/"):
        assert body.isascii()
        part.content = _decoded(body, part.raw("Content-Transfer-Encoding"))
        return part
    boundary = parameters(part.raw("Content-Type"))["boundary"].encode()
    before, *pieces, after = (b"\r\n" + body).split(b"\r\n--" + boundary)
    assert before == b""
    assert after.startswith(b"--")
    for piece in pieces:
        assert piece.startswith(b"\r\n")
        part.parts.append(_entity(piece[2:]))
    return part


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    assert colon
    assert re.fullmatch(r"[!-9;-~]+", name)
    assert all(physical.strip() for physical in line.split("\r\n")), "a line of spaces only"
    return name, value.replace("\r\n", "").removeprefix(" ")


def _decoded(body: bytes, encoding: str) -> bytes:
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))
    if encoding == "base64":
        return a2b_base64(body.replace(b"\r\n", b""), strict_mode=True) if body.strip() else b""
    assert encoding == "quoted-printable"
    assert not re.search(rb"[ \t]\r\n|[^\t\r\n -~]|=(?![0-9A-F]{2}|\r\n)", body)
    return quopri.decodestring(body)


def decode_words(text: str) -> str:
    """Decode RFC 2047: blanks between two encoded words do not count."""
    text = re.sub(r"(\?=)\s+(?==\?)", r"\1", text)
    return _ENCODED_WORD.sub(_word, text)


def _word(found: re.Match[str]) -> str:
    charset, encoding, payload = found.groups()
    assert len(found.group()) <= 75
    if encoding in "bB":
        return a2b_base64(payload).decode(charset)
    return a2b_qp(payload, header=True).decode(charset)


def parameters(value: str) -> dict[str, str]:
    """Read the parameters of a field, RFC 2231's continuations and percent signs too."""
    sections: dict[str, dict[int, bytes]] = {}
    for key, given in _PARAMETER.findall(value):
        name, number, extended = _SECTION.fullmatch(key).groups()
        if given.startswith('"'):
            octets = re.sub(r"\\(.)", r"\1", given[1:-1]).encode()
        elif extended:
            payload = given if int(number or 0) else given.split("'", 2)[2]
            octets = unquote_to_bytes(payload)
        else:
            octets = given.encode()
        sections.setdefault(name, {})[int(number or 0)] = octets
    return {
        name: b"".join(octets for _, octets in sorted(numbered.items())).decode()
        for name, numbered in sections.items()
    }


def mailboxes(value: str) -> list[tuple[str, str]]:
    """Read a list of mailboxes, as pairs of the name, decoded, and the address."""
    found = []
    for name, address, bare in re.findall(
        r'\s*(?:((?:"(?:\\.|[^"\\])*"|[^",<])*?)\s*<([^<>]+)>|([^\s,<>"]+))(?:,|$)', value
    ):
        quoted = name.startswith('"')
        name = re.sub(r"\\(.)", r"\1", name[1:-1]) if quoted else decode_words(name)
        found.append((name, address or bare))
    return found
