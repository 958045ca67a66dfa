"""A letter as octets: RFC 5322 and RFC 2045 to 2049, 7-bit clean, the same each time.

Written by hand where the standard library would hold an attachment six times over, draw
boundaries at random and fold addresses outside ASCII wrongly. Its base64 and
quoted-printable are in C and are used.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Callable, Iterable
from email.utils import format_datetime
from hashlib import blake2b
from io import BytesIO

from worker.compose.letter import QUOTED_GROWTH_MAX, AttachmentPart, Letter, encoded_octets
from worker.compose.plaintext import derive_text
from worker.core.addresses import Address
from worker.core.folding import address_field, fold, parameter_field, text_field
from worker.core.headers import check_subject, own_field, unsubscribe_fields

Writer = Callable[[BytesIO], object]
"""Writes one MIME part, its own header fields first, ending with CRLF."""

_LINE_OCTETS = 57  # of content to a base64 line of 76: RFC 2045 section 6.8
_CHUNK_OCTETS = _LINE_OCTETS * 1_024  # encoded at a time, so that no second copy is held
_OVERLONG = re.compile(rb"^(.{74,75})(=[0-9A-F]{2})$", re.MULTILINE)
_NEWLINE = re.compile(r"\r\n?|\n")


def compose(letter: Letter) -> bytes:
    """Return the message as SMTP's DATA carries it, before dot-stuffing.

    Lines end in CRLF and have at most 998 octets, 76 where they can be folded. Octets are
    ASCII, except in fields with an address that `needs_smtputf8`. A letter always gives
    the same octets, so a resend differs in nothing.

    Needs about two and a half times the attachments' size, themselves included.

    Raises:
        ContentError: a field holds a character that may not stand in a header.
    """
    out = BytesIO()
    out.write(_header(letter).encode())
    _body(letter)(out)
    return out.getvalue()


def _header(letter: Letter) -> str:
    sender = letter.from_address
    mailbox = Address(
        sender.local, sender.domain, sender.display_domain, letter.from_name or sender.name
    )
    fields = [
        fold("Date", [f" {format_datetime(letter.date)}"]),
        address_field("From", [mailbox]),
        *_recipients(letter),
        text_field("Subject", check_subject(letter.subject)),
        fold("Message-ID", [f" {letter.message_id}"]),
        unsubscribe_fields(letter.list_unsubscribe),
    ]
    if letter.bulk:
        fields.append(fold("Precedence", [" bulk"]))
    fields.append(fold("Auto-Submitted", [" auto-generated"]))  # RFC 3834: no holiday replies
    if letter.redirected_from:
        fields.append(text_field("X-Kadencia-Redirected-From", ", ".join(letter.redirected_from)))
    fields += [own_field(name, value) for name, value in letter.headers]
    fields.append(fold("MIME-Version", [" 1.0"]))
    return "".join(fields)


def _recipients(letter: Letter) -> Iterable[str]:
    if letter.to:
        yield address_field("To", letter.to)
    elif not letter.cc:
        yield fold("To", [" undisclosed-recipients:;"])  # some servers refuse a header without
    if letter.cc:
        yield address_field("Cc", letter.cc)
    if letter.reply_to:
        yield address_field("Reply-To", letter.reply_to)


def _body(letter: Letter) -> Writer:
    """mixed(related(alternative(text, html), inline files), attachments), as far as needed."""
    seed = letter.message_id
    text = letter.text if letter.text is not None else derive_text(letter.html or "")
    versions = []
    if text or letter.html is None:
        versions.append(_text("plain", text))
    if letter.html is not None:
        versions.append(_text("html", letter.html))
    inline, attached = [], []
    for file in letter.attachments:
        if file.content_id and letter.html is not None:
            inline.append(_file(file, "inline"))
        else:
            attached.append(_file(file, "attachment"))
    core = _multipart("alternative", versions, seed)
    root = "multipart/alternative" if len(versions) > 1 else "text/html"
    core = _multipart("related", [core, *inline], seed, ("type", root))
    return _multipart("mixed", [core, *attached], seed)


def _multipart(
    subtype: str, parts: list[Writer], seed: str, *parameters: tuple[str, str]
) -> Writer:
    """Put parts together; a single one stands for itself."""
    if len(parts) == 1:
        return parts[0]
    # "=_" occurs in neither base64 nor quoted-printable, so no content can hold a boundary.
    digest = blake2b(f"{subtype} {seed}".encode(), digest_size=15).hexdigest()
    boundary = f"=_{digest}"

    def write(out: BytesIO) -> None:
        kind = f"multipart/{subtype}"
        field = parameter_field("Content-Type", kind, [*parameters, ("boundary", boundary)])
        out.write(field.encode())
        for part in parts:
            # The line end before a boundary is the boundary's: RFC 2046 section 5.1.1.
            out.write(f"\r\n--{boundary}\r\n".encode())
            part(out)
        out.write(f"\r\n--{boundary}--\r\n".encode())

    return write


def _text(subtype: str, text: str) -> Writer:
    """A text in quoted-printable, unless base64 is much shorter, as it is for Cyrillic.

    Filters of spam dislike texts in base64.
    """
    lines = _NEWLINE.sub("\n", text)
    lines = lines if lines.endswith("\n") else lines + "\n"
    quoted = _quoted_printable(lines)
    content = lines.replace("\n", "\r\n").encode()
    readable = len(quoted) <= QUOTED_GROWTH_MAX * encoded_octets(len(content))
    encoding = "quoted-printable" if readable else "base64"

    def write(out: BytesIO) -> None:
        out.write(
            (
                parameter_field("Content-Type", f"text/{subtype}", [("charset", "utf-8")])
                + fold("Content-Transfer-Encoding", [f" {encoding}"])
                + "\r\n"
            ).encode()
        )
        if readable:
            out.write(quoted)
        else:
            _write_base64(out, content)

    return write


def _quoted_printable(lines: str) -> bytes:
    # b2a_qp does not count the blank that it encodes at a line's end: up to 78 octets, not 76.
    octets = _OVERLONG.sub(rb"\1=\n\2", b2a_qp(lines.encode()))
    # Given bare line feeds, it writes bare line feeds for soft breaks as well.
    return octets.replace(b"\n", b"\r\n")


def _file(file: AttachmentPart, disposition: str) -> Writer:
    header = (
        parameter_field("Content-Type", file.media_type, [])
        + fold("Content-Transfer-Encoding", [" base64"])
        + parameter_field("Content-Disposition", disposition, [("filename", file.name)])
    )
    if file.content_id:
        header += fold("Content-ID", [f" <{file.content_id}>"])

    def write(out: BytesIO) -> None:
        out.write(f"{header}\r\n".encode())
        _write_base64(out, file.content)

    return write


def _write_base64(out: BytesIO, content: bytes) -> None:
    """Write lines of 76 characters, never holding more than a chunk beside `out`."""
    view = memoryview(content)
    for start in range(0, len(view), _CHUNK_OCTETS):
        chunk = view[start : start + _CHUNK_OCTETS]
        lines = (
            b2a_base64(chunk[at : at + _LINE_OCTETS], newline=False) + b"\r\n"
            for at in range(0, len(chunk), _LINE_OCTETS)
        )
        out.write(b"".join(lines))
