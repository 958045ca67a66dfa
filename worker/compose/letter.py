"""What one e-mail is made of, before it is octets."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from worker.compose.plaintext import GROWTH_MAX
from worker.core.addresses import Address, ascii_domain
from worker.core.content import ContentError, check_text, refuse_unsafe, shown
from worker.core.headers import check_subject

FILE_NAME_CHARACTERS_MAX = 255  # chosen: what file systems take
CONTENT_ID_CHARACTERS_MAX = 200  # chosen: its header line stays short
MESSAGE_ID_CHARACTERS_MAX = 500  # chosen: its header line stays below 998 octets

_RESTRICTED_NAME = r"[A-Za-z0-9!#$&^_.+-]{1,127}"  # RFC 6838 section 4.2
_MEDIA_TYPE = re.compile(
    rf"{_RESTRICTED_NAME}/{_RESTRICTED_NAME}(?:; ?charset={_RESTRICTED_NAME})?"
)
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]+")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")


@dataclass(frozen=True, slots=True)
class AttachmentPart:
    """A file to send along. Building one checks its name and type.

    Attributes:
        name: file name as the recipient sees it, without a folder.
        media_type: such as `application/pdf` or `text/csv; charset=utf-8`.
        content: the file's octets.
        content_id: by which the HTML shows the file as `cid:…`, without angle
            brackets; None for an ordinary attachment.

    Raises:
        ContentError: a name, type or id is malformed.
    """

    name: str
    media_type: str
    content: bytes = field(repr=False)
    content_id: str | None = None

    def __post_init__(self) -> None:
        where = f"attachment {shown(self.name)}"
        refuse_unsafe(self.name, where)
        if not self.name.strip() or "/" in self.name or "\\" in self.name:
            raise ContentError(
                "is no file name", where, "give one that is not blank and without its folder"
            )
        if len(self.name) > FILE_NAME_CHARACTERS_MAX:
            raise ContentError(
                f"has a name of more than {FILE_NAME_CHARACTERS_MAX} characters", where, "rename it"
            )
        if not _MEDIA_TYPE.fullmatch(self.media_type):
            raise ContentError(
                f"has the malformed type {shown(self.media_type)}",
                where,
                "write it as type/subtype",
            )
        # Base64 is not allowed in these (RFC 2045 section 6.4), and 8-bit is not ours to send.
        if self.media_type.lower().startswith(("message/", "multipart/")):
            raise ContentError(
                f"cannot be sent as {self.media_type}", where, "use application/octet-stream"
            )
        self._check_content_id(where)

    def _check_content_id(self, where: str) -> None:
        given = self.content_id
        if given is None:
            return
        if not _CONTENT_ID.fullmatch(given) or len(given) > CONTENT_ID_CHARACTERS_MAX:
            raise ContentError(
                f"has the malformed Content-ID {shown(given)}", where, "write it as in the cid: URL"
            )


@dataclass(frozen=True, slots=True)
class Letter:
    """One e-mail. Hidden recipients are the envelope's business and never stand here.

    Attributes:
        message_id: with its angle brackets; the same in every attempt.
        date: aware; its zone is shown to the recipient.
        from_name: display name of the sender; goes before the address's own.
        subject: checked again here, for it may come from a template.
        text, html: at least one; line ends become CRLF, and a last one is added. A text
            part is derived from the HTML where there is none.
        list_unsubscribe: https: and mailto: URIs.
        headers: own fields, as `check_own_headers` returned them.
        bulk: one of a mailing: `Precedence: bulk`.
        redirected_from: the recipients in whose place a safety mode put another.

    Raises:
        ContentError: the subject or a text is not fit to be sent, or there is no text.
        ValueError: the date is naive, or the Message-ID is malformed.
    """

    message_id: str
    date: datetime
    from_name: str | None
    from_address: Address
    to: tuple[Address, ...]
    subject: str
    text: str | None = field(default=None, repr=False)
    html: str | None = field(default=None, repr=False)
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    attachments: tuple[AttachmentPart, ...] = ()
    list_unsubscribe: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    bulk: bool = False
    redirected_from: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.date.tzinfo is None:
            raise ValueError("the date of a letter needs a time zone")
        if (
            not _MESSAGE_ID.fullmatch(self.message_id)
            or len(self.message_id) > MESSAGE_ID_CHARACTERS_MAX
        ):
            raise ValueError(f"malformed Message-ID {shown(self.message_id)}")
        check_subject(self.subject)
        for given, where in ((self.text, "text"), (self.html, "HTML")):
            check_text(given or "", where)
        if self.text is None and self.html is None:
            raise ContentError("has neither text nor HTML", "message", "give it one")


def new_message_id(domain: str, token: uuid.UUID) -> str:
    """Return a Message-ID (RFC 5322 section 3.6.4).

    Raises:
        AddressError: `domain` is no domain name.

    >>> new_message_id("firma.sk", uuid.UUID(int=7))
    '<00000000000000000000000000000007@firma.sk>'
    """
    return f"<{token.hex}@{ascii_domain(domain)}>"


def needs_smtputf8(letter: Letter) -> bool:
    """Whether the server must offer SMTPUTF8 for the header; the envelope may need it too."""
    shown_in_header = (letter.from_address, *letter.to, *letter.cc, *letter.reply_to)
    return any(address.needs_smtputf8 for address in shown_in_header)


QUOTED_GROWTH_MAX = 2.0  # of a text, over its length in base64; chosen: Slovak stays readable

# Chosen, and held by a property test: more than the fields below ever take.
_FIXED_OCTETS = 40_960  # subject, own and fixed fields, boundaries
_RECIPIENT_OCTETS = 3_072  # name and address in the longest encoding, with their folding
_ATTACHMENT_OCTETS = 5_120  # header of a part whose name is the longest


def estimate_size(
    text: str | None, html: str | None, attachment_sizes: Iterable[int], recipients: int = 1
) -> int:
    """Return octets that the composed message will not exceed.

    Too high by some ten kilobytes and by the size of the texts, so fit for a limit of
    megabytes; whoever has a limit raises `TooLargeError`.

    Args:
        text: as it will be sent, templates filled.
        html: likewise.
        attachment_sizes: octets of each file.
        recipients: addresses that the header will show, Reply-To's among them.
    """
    derived = [html or ""] * GROWTH_MAX if text is None else []
    bodies = [text or "", html or "", *derived]
    # Line ends may double, from LF to CRLF.
    octets = sum(len(b.encode()) + b.count("\n") + b.count("\r") for b in bodies)
    size = _FIXED_OCTETS + recipients * _RECIPIENT_OCTETS
    size += int(QUOTED_GROWTH_MAX * encoded_octets(octets + 2 * len(bodies)))
    return size + sum(encoded_octets(size) + _ATTACHMENT_OCTETS for size in attachment_sizes)


def encoded_octets(octets: int) -> int:
    """Return the length of so many octets in base64, in lines of 76 characters and CRLF.

    >>> encoded_octets(58)
    156
    """
    return (octets + 56) // 57 * 78
