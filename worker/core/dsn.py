"""Asking for delivery status notifications (RFC 3461), in the parameters of MAIL and RCPT."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

EVENTS = ("failure", "delay", "success")
NEVER = "never"
RETURNS = {"headers": "HDRS", "full": "FULL"}

LONGEST_ENVID = 100
LONGEST_ORCPT = 500
"""RFC 3461 sections 4.4 and 4.2."""

_NOT_XCHAR = re.compile(r"[^!-*,-<>-~]")
_NOT_UNITEXT = re.compile(r"[\x00-\x20+=\\\x7f]")


@dataclass(frozen=True, slots=True)
class Dsn:
    """What reports are asked for.

    Attributes:
        notify: some of `EVENTS`, or `NEVER` alone.
        returned: how much of the mail a report brings back, one of `RETURNS`; None as the servers
            like.

    Raises:
        ValueError: it asks for nothing, for what is not known, or for never and something else.
    """

    notify: tuple[str, ...]
    returned: str | None = None

    def __post_init__(self) -> None:
        known = set(self.notify) <= set(EVENTS) or self.notify == (NEVER,)
        if not self.notify or not known:
            raise ValueError(f"a report can be asked of {', '.join(EVENTS)}, or of {NEVER} alone")
        if self.returned is not None and self.returned not in RETURNS:
            raise ValueError(f"a report can bring back {' or '.join(RETURNS)}")

    def of_mail(self, envelope_id: str | None) -> str:
        """The parameters of MAIL: what comes back, and by what we know it again.

        >>> Dsn(("failure",), "headers").of_mail("1+2@firma.example")
        ' RET=HDRS ENVID=1+2B2@firma.example'
        """
        if self.notify == (NEVER,):
            return ""
        said = "" if self.returned is None else f" RET={RETURNS[self.returned]}"
        mark = "" if envelope_id is None else xtext(envelope_id)
        return said + (f" ENVID={mark}" if 0 < len(mark) <= LONGEST_ENVID else "")

    def of_recipient(self, address: str) -> str:
        """The parameters of RCPT. An address that is not ASCII goes only where SMTPUTF8 does.

        >>> Dsn(("failure", "delay")).of_recipient("jana+a@firma.example")
        ' NOTIFY=FAILURE,DELAY ORCPT=rfc822;jana+2Ba@firma.example'
        """
        original = f"rfc822;{xtext(address)}" if address.isascii() else f"utf-8;{unitext(address)}"
        said = f" NOTIFY={','.join(self.notify).upper()}"
        return said + (f" ORCPT={original}" if len(original.encode()) <= LONGEST_ORCPT else "")


def read_notify(text: str) -> tuple[str, ...]:
    """The events in a list such as `failure,delay`, in the order of `EVENTS`.

    Raises:
        ValueError: as `Dsn`.

    >>> read_notify("delay, Failure")
    ('failure', 'delay')
    """
    given = [one.strip().lower() for one in text.split(",")]
    ordered = tuple(one for one in (*EVENTS, NEVER) if one in given)
    unknown: Sequence[str] = [one for one in given if one not in ordered]
    return Dsn((*ordered, *unknown)).notify


def xtext(text: str) -> str:
    """ASCII as it may stand in a parameter (RFC 3461 section 4).

    >>> xtext("a+b=c d")
    'a+2Bb+3Dc+20d'
    """
    return _NOT_XCHAR.sub(lambda found: f"+{ord(found[0]):02X}", text)


def unitext(text: str) -> str:
    r"""An address as it may stand in a parameter where SMTPUTF8 is in use (RFC 6533 section 3).

    >>> unitext("jožo+a@firma.example")
    'jožo\\x{2B}a@firma.example'
    """
    return _NOT_UNITEXT.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", text)
