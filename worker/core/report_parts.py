"""The parts of a report (RFC 6522), found and taken apart whatever a mail system made of them."""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from email.policy import compat32

Fields = dict[str, str]
"""Values by the field's name in lower case, unfolded."""

FIELD_CHARACTERS_MAX = 10_000  # chosen: beyond this no field tells anything more

_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_RETURNED_TYPES = (
    "message/rfc822",
    "message/global",
    "message/rfc822-headers",
    "message/global-headers",
    "text/rfc822-headers",
)
# NUL cannot be stored, and the others could drive a terminal.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:(.*)")
_RECIPIENT = ("final-recipient", "original-recipient", "action", "status")
_MISREAD_AS_HEADERS = re.compile(r"^[\w-]+:", re.MULTILINE)


def clean(text: str) -> str:
    r"""A text without control characters, its raw octets read as UTF-8.

    >>> clean("a\tb\r\n c"), clean(b"\xc5\xbe".decode("ascii", "surrogateescape"))
    ('a\tb c', 'ž')
    """
    octets = text.encode("utf-8", "surrogatepass" if _lone(text) else "surrogateescape")
    read = octets.decode("utf-8", "replace")
    return _CONTROL.sub("", read)[:FIELD_CHARACTERS_MAX]


def _lone(text: str) -> bool:
    """Whether there is a surrogate that stands for no raw octet."""
    return any("\ud800" <= c <= "\udfff" and not "\udc80" <= c <= "\udcff" for c in text)


class ReportParts:
    """A mail, the part with the delivery status, and what came back of the original.

    Args:
        octets: the whole mail.

    Raises:
        RecursionError: parts are nested beyond reason.
    """

    def __init__(self, octets: bytes) -> None:
        self.mail: Message = message_from_bytes(octets, policy=compat32)
        self.status, self._returned = _found(self.mail)
        if self.status is None:
            # The report may have been forwarded as an attachment.
            for inner in _inner_mails(self.mail):
                status, returned = _found(inner)
                if status is not None:
                    self.mail, self.status, self._returned = inner, status, returned
                    break

    def fields(self) -> tuple[Fields, list[Fields]]:
        """What the report says of the whole, and of each recipient."""
        whole: Fields = {}
        each: list[Fields] = []
        for group in _groups(_text_of(self.status) if self.status is not None else ""):
            if any(name in group for name in _RECIPIENT):
                each.append(group)
            else:
                whole = group | whole
        return whole, each

    def returned_headers(self) -> Fields:
        """The headers of the original; {} if nothing of it came back."""
        part = self._returned
        if part is None:
            return {}
        groups = _groups(_headers_text(part))
        return next(groups, {})


def _found(mail: Message) -> tuple[Message | None, Message | None]:
    """The part with the status and the returned one, not looking into enclosed mails."""
    status = returned = None
    for part in _outer_parts(mail):
        kind = part.get_content_type()
        if kind in _STATUS_TYPES and status is None:
            status = part
        elif kind in _RETURNED_TYPES and returned is None:
            returned = part
    return status, returned


def _outer_parts(mail: Message) -> Iterator[Message]:
    """All parts, not going into what is a mail of its own."""
    open_ = [mail]
    while open_:
        part = open_.pop()
        if part.get_content_maintype() == "multipart":
            open_.extend(reversed(_enclosed(part)))
        else:
            yield part


def _inner_mails(mail: Message) -> Iterator[Message]:
    for part in _outer_parts(mail):
        if part.get_content_type() in ("message/rfc822", "message/global"):
            yield from _enclosed(part)


def _text_of(part: Message) -> str:
    """The text of a part, which the parser may have taken for one mail or several, decoded."""
    if not part.is_multipart():
        return _body(part)
    text = "\n\n".join(_written(one) for one in _enclosed(part))
    return _decoded(text, str(part.get("Content-Transfer-Encoding", "")))


def _headers_text(part: Message) -> str:
    enclosed = _enclosed(part)
    if enclosed and enclosed[0].keys():
        return _headers(enclosed[0])
    return _text_of(part)


def _written(mail: Message) -> str:
    inner = [_written(one) for one in _enclosed(mail)] or [_body(mail)]
    return "\n\n".join(filter(None, (_headers(mail), *inner)))


def _body(mail: Message) -> str:
    octets = mail.get_payload(decode=True)  # else raw octets would be lost
    return octets.decode("utf-8", "surrogateescape") if isinstance(octets, bytes) else ""


def _enclosed(part: Message) -> list[Message]:
    # Asked first: of a text, get_payload() would decode the charset, which may be any codec.
    payload = part.get_payload() if part.is_multipart() else []
    return [one for one in payload if isinstance(one, Message)]


def _headers(mail: Message) -> str:
    # raw_items: as they came; items() makes replacement characters of UTF-8.
    return "\n".join(f"{name}: {value}" for name, value in mail.raw_items())


def _decoded(text: str, encoding: str) -> str:
    encoding = encoding.strip().lower()
    octets = text.encode("utf-8", "surrogateescape" if not _lone(text) else "replace")
    try:
        if encoding == "base64" and not _MISREAD_AS_HEADERS.search(text):
            octets = base64.b64decode(re.sub(rb"[^A-Za-z0-9+/=]", b"", octets))
        elif encoding == "quoted-printable":
            octets = quopri.decodestring(octets)
    except (binascii.Error, ValueError):
        return text
    return octets.decode("utf-8", "surrogateescape")


def _groups(text: str) -> Iterator[Fields]:
    """The fields of each block, parted by blank lines.

    A second Final-Recipient begins a block as well: some forget the blank line.
    """
    group: Fields = {}
    name = ""
    for line in re.split(r"\r\n|\r|\n", text):
        if not line.strip():
            if group:
                yield group
            group, name = {}, ""
        elif line[0] in " \t":
            if name:
                group[name] = f"{group[name]} {clean(line).strip()}"[:FIELD_CHARACTERS_MAX]
        elif field := _FIELD.match(line):
            key = field[1].lower()
            if key in group and key == "final-recipient":
                yield group
                group = {}
            # The first of a name counts; what follows a doubled one is lost with it.
            name = "" if key in group else key
            if name:
                group[name] = clean(field[2]).strip()
    if group:
        yield group
