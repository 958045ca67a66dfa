"""Reading a delivery status notification (RFC 3464): which message, and what became of whom.

Tolerant of what mail systems write in practice. What is read is bounded in length and holds no
control characters, so it can be stored and shown.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from enum import StrEnum

from worker.core.content import ContentError
from worker.core.report_parts import Fields, ReportParts, clean

OCTETS_MAX = 100_000_000  # chosen: a bounce brings its mail back, files and all
DIAGNOSTIC_CHARACTERS_MAX = 2_000  # chosen: the longest replies of servers, with room
ADDRESS_CHARACTERS_MAX = 500  # chosen: a path has 256 octets (RFC 5321 4.5.3.1.3)
RECIPIENTS_MAX = 10_000  # chosen: no message of ours has as many

NO_SUCH_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})
"""Nobody is there, and will not be: RFC 3463 section 3.2, RFC 7505 for 5.1.10.

5.2.1 (mailbox disabled) is none of them: large hosts say it to those who write too fast.
"""

_MESSAGE_ID = re.compile(r"<[^<>\s]+@[^<>\s]+>")
_ENVELOPE_ID = re.compile(r"[^<>\s@]+@[^<>\s@]+")  # as we ask for reports: the bare Message-ID
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_COMMENT = re.compile(r"\([^()]*\)")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")  # RFC 3461 section 4
_UNITEXT = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533 section 3
_OTHER_REPORTS = {
    "disposition-notification": "a note that a mail was read or deleted (RFC 8098)",
    "feedback-report": "a complaint about a mail (RFC 5965)",
}


class ReportError(ContentError):
    """A file is no delivery status notification that could be used."""


class Action(StrEnum):
    """What the reporting server did (RFC 3464 section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    """Given to a server that sends no receipts."""
    EXPANDED = "expanded"
    """Arrived at the address and was sent on to several, as by a mailing list."""


_OF_CLASS = {"2": Action.DELIVERED, "4": Action.DELAYED, "5": Action.FAILED}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a report says of one recipient.

    Attributes:
        addresses: under which it may be known to us, the most original first.
        action: what was done.
        status: RFC 3463, as 5.1.1; None if none was given.
        diagnostic: the words of the server that refused.
        remote_mta: its name.
        digest: of all that the report says of it, to know it again.
    """

    addresses: tuple[str, ...]
    action: Action
    status: str | None
    diagnostic: str | None
    remote_mta: str | None
    digest: bytes

    @property
    def no_such_address(self) -> bool:
        """Whether nobody can ever be reached there."""
        return self.action is Action.FAILED and self.status in NO_SUCH_ADDRESS

    @property
    def words(self) -> str:
        """What it says, for people."""
        said = self.diagnostic or self.status or "no reason given"
        return f"{self.action}: {said}"


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery status notification.

    Attributes:
        message_id: of the mail that it is about, with its angle brackets.
        envelope_id: of that mail (RFC 3461), if it had one.
        reporting_mta: the server that reports.
        receipts: one for each recipient.
    """

    message_id: str
    envelope_id: str | None
    reporting_mta: str | None
    receipts: tuple[Receipt, ...]


def read_report(octets: bytes, where: str) -> Report:
    """Read a report as it lies in a mailbox.

    Args:
        octets: the whole mail.
        where: what an error calls it.

    Raises:
        ReportError: it is none, or does not say of which mail.
    """
    if len(octets) > OCTETS_MAX:
        raise ReportError(f"is larger than {OCTETS_MAX:,} octets", where, "look whether it is one")
    try:
        return _read(ReportParts(octets), where)
    except RecursionError:
        raise ReportError("has parts within parts without end", where, "leave it out") from None


def _read(parts: ReportParts, where: str) -> Report:
    if parts.status is None:
        raise ReportError(_what_it_is(parts.mail), where, "give the bounce itself, as an .eml file")
    whole, each = parts.fields()
    receipts = tuple(_receipts(parts.mail, whole, each))
    if not receipts:
        raise ReportError("names no recipient and what became of it", where, "leave it out")
    return Report(
        message_id=_original_id(parts, whole, where),
        envelope_id=_envelope_id(whole),
        reporting_mta=_mta(whole.get("reporting-mta")),
        receipts=receipts,
    )


def _what_it_is(mail: Message) -> str:
    kind = str(mail.get_param("report-type", "")).lower()
    if kind in _OTHER_REPORTS:
        return f"is no bounce but {_OTHER_REPORTS[kind]}"
    if not mail.keys():
        return "is no e-mail"
    return "holds no part message/delivery-status (RFC 3464)"


def _original_id(parts: ReportParts, whole: Fields, where: str) -> str:
    """The Message-ID of the mail that came back, or of which the report speaks elsewhere."""
    headers = parts.returned_headers()
    for text in (
        headers.get("message-id"),
        whole.get("x-original-message-id"),  # Gmail
        clean(str(parts.mail.get("In-Reply-To", ""))),  # Exchange
        clean(str(parts.mail.get("References", ""))),
    ):
        found = _MESSAGE_ID.findall(text or "")
        if found:
            return str(found[-1])
    asked = _ENVELOPE_ID.fullmatch(_envelope_id(whole) or "")
    if asked:
        return f"<{asked[0]}>"
    raise ReportError(
        "does not say which mail it is about: neither its headers nor its Message-ID came back",
        where,
        "settle it by hand, with `kadencia mail resolve`",
    )


def _receipts(mail: Message, whole: Fields, each: list[Fields]) -> Iterator[Receipt]:
    report = [clean(str(mail.get(name, ""))) for name in ("Message-ID", "Date")]
    for fields in each[:RECIPIENTS_MAX]:
        action, addresses = _action(fields), _addresses(fields)
        if action is None or not addresses:
            continue
        said = json.dumps([report, sorted(whole.items()), sorted(fields.items())])
        yield Receipt(
            addresses=addresses,
            action=action,
            status=_status(fields),
            diagnostic=_typed(fields.get("diagnostic-code", ""))[:DIAGNOSTIC_CHARACTERS_MAX]
            or None,
            remote_mta=_mta(fields.get("remote-mta")),
            digest=hashlib.sha256(said.encode()).digest(),
        )


def _action(fields: Fields) -> Action | None:
    """What was done; where no word of RFC 3464 says it, what the status means."""
    word = _COMMENT.sub("", fields.get("action", "")).strip().lower()
    if word in set(Action):
        return Action(word)
    status = _status(fields)
    return _OF_CLASS[status[0]] if status else None


def _status(fields: Fields) -> str | None:
    """The status; where its field is missing or vague (X.0.0), the reply may be better."""
    given = _STATUS.search(fields.get("status", ""))
    told = _STATUS.search(fields.get("diagnostic-code", ""))
    vague = given is None or given[2] == given[3] == "0"
    best = told if vague and told and (given is None or told[1] == given[1]) else given
    return ".".join(str(int(number)) for number in best.groups()) if best else None


def _addresses(fields: Fields) -> tuple[str, ...]:
    """All readings of the recipient's addresses: as written, and with either escape undone."""
    readings: dict[str, None] = {}
    for name in ("original-recipient", "final-recipient", "x-actual-recipient"):
        bare = _typed(fields.get(name, "")).strip("<> ")
        for reading in (bare, decode_xtext(bare), decode_unitext(bare)):
            if "@" in reading and len(reading) <= ADDRESS_CHARACTERS_MAX:
                readings.setdefault(reading)
    return tuple(readings)


def _typed(text: str) -> str:
    """The value of a field that begins with its type, as `rfc822;anna@firma.example`."""
    kind, semicolon, value = text.partition(";")
    return value.strip() if semicolon and re.fullmatch(r"[\w-]+", kind.strip()) else text.strip()


def _mta(text: str | None) -> str | None:
    return _typed(text or "")[:ADDRESS_CHARACTERS_MAX] or None


def _envelope_id(whole: Fields) -> str | None:
    return decode_xtext(whole.get("original-envelope-id", ""))[:ADDRESS_CHARACTERS_MAX] or None


def decode_xtext(text: str) -> str:
    """Undo the encoding of RFC 3461 section 4; what is not of it stays.

    >>> decode_xtext("anna+2Bfirma@ina.example")
    'anna+firma@ina.example'
    """
    return clean(_XTEXT.sub(lambda found: chr(int(found[1], 16)), text))


def decode_unitext(text: str) -> str:
    r"""Undo the escapes of an address of the type utf-8 (RFC 6533 section 3).

    >>> decode_unitext(r"j\x{E1}n@firma.example")
    'ján@firma.example'
    """
    return clean(_UNITEXT.sub(lambda found: _character(int(found[1], 16)), text))


def _character(number: int) -> str:
    return chr(number) if number <= 0x10FFFF else ""
