"""The seam to the outside: an envelope goes out, a reply comes back.

A transport knows envelopes, not messages. What the far side answers is a value, however bad;
only what keeps a hand-over from beginning is raised (`worker.errors`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from worker.core.outcomes import Outcome
from worker.core.replies import Phase

_UNFIT_ADDRESS = re.compile(r"[\x00-\x1f\x7f<>]")


@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail as SMTP sees it.

    Attributes:
        sender: envelope sender (MAIL FROM), without angle brackets; "" for the null sender.
        recipients: one or more, without angle brackets.
        content: header and body with CRLF line ends; not dot-stuffed, that is the transport's.
        smtputf8: an address or a header is not ASCII, so the server must know RFC 6531.
        envelope_id: by which a report may name it again (RFC 3461); ASCII. None without one.

    Raises:
        ValueError: an address could break out of its command, or is not ASCII without
            `smtputf8`; a bare CR or LF in the content (a server may read an end of mail into
            it); no recipient.
    """

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    smtputf8: bool = False
    envelope_id: str | None = None

    def __post_init__(self) -> None:
        if not self.recipients or "" in self.recipients:
            raise ValueError("an envelope needs recipients")
        for address in (self.sender, *self.recipients):
            if _UNFIT_ADDRESS.search(address):
                raise ValueError(f"not an envelope address: {address!r}")
            if not (self.smtputf8 or address.isascii()):
                raise ValueError(f"not ASCII, and smtputf8 is not set: {address!r}")
        ends = self.content.count(b"\r\n")
        if not ends == self.content.count(b"\r") == self.content.count(b"\n"):
            raise ValueError("the content has a bare CR or LF")


@dataclass(frozen=True, slots=True)
class RecipientReply:
    """What became of one recipient; `code` is None where no answer came."""

    recipient: str
    outcome: Outcome
    code: int | None
    enhanced: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one hand-over.

    Attributes:
        outcome: accepted if at least one recipient was; unknown if the final dot may have gone
            out and no answer was had; rejected if every recipient was; else deferred.
        phase: what the deciding answer answered, or what was going on when none came.
        code: the deciding answer's code; None if there was none.
        enhanced: its enhanced status code, if any.
        text: its words, or ours on what happened instead.
        recipients: one for each recipient of the envelope, in its order.
        spent: MAIL was written, at least in part: the permit is used up.
        slow_down: the answer concerns the whole account, which should send less for a while.
    """

    outcome: Outcome
    phase: Phase
    code: int | None
    enhanced: str | None
    text: str
    recipients: tuple[RecipientReply, ...]
    spent: bool
    slow_down: bool


class Transport(Protocol):
    """A way out. Not for use by two threads at once."""

    def ready(self) -> None:
        """Open a connection, or make sure that the kept one still answers.

        Raises:
            TransportUnavailable: there is none to be had.
        """

    def send(self, envelope: Envelope, dot_by: float) -> Reply:
        """Hand over one mail.

        Args:
            envelope: the mail.
            dot_by: `time.monotonic()` after which the final dot must not be begun.

        Raises:
            TransportUnavailable: no connection, and MAIL was not sent: nothing is spent. After
                any other exception the outcome is unknown.
        """

    def close(self) -> None:
        """Say good-bye and close the kept connection, if there is one. Never raises."""
