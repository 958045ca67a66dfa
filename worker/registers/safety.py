"""What holds for all sending: the safety mode, stop and start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from models.fleet import Installation
from models.states import MessageState
from worker import db
from worker.core.addresses import ascii_domain, parse_address
from worker.core.content import shown
from worker.core.phone_numbers import parse_number
from worker.outbox import figures
from worker.registers import RegisterError, audit, waking

THE_ROW = 1

_BEGINS_NUMBER = frozenset("+(0123456789")
_ANY_COUNTRY = "SK"
"""Does not matter to a number with its calling code."""


def installation(connection: Connection) -> dict[str, Any]:
    """Whether sending is stopped and why, whether it was restored, and the safety mode."""
    columns = Installation.__table__.c
    row = connection.execute(
        select(
            columns.stopped_at,
            columns.stopped_why,
            columns.restored,
            columns.redirect_to,
            columns.allowed,
        )
    ).one()
    return dict(row._mapping)


def redirect(connection: Connection, address: str) -> str:
    """Have every mail sent to one address instead; returns it in the form in which it is used.

    Raises:
        AddressError: it is no address.
    """
    target = parse_address(address).addr_spec
    _change(connection, "redirect", redirect_to=target, allowed=None)
    return target


def allow(connection: Connection, entries: Sequence[str]) -> list[str]:
    """Let only listed recipients through; a message with any other is held.

    Args:
        connection: the caller's transaction.
        entries: addresses, whole domains written as `@domain`, or numbers with their calling code.

    Returns:
        The entries as they are compared.

    Raises:
        ContentError: an entry is none of them.
        RegisterError: there is none, or a number lacks its calling code.
    """
    if not entries:
        raise RegisterError("nobody is listed", "name addresses, domains as @domain, or numbers")
    listed = sorted({_entry(text.strip()) for text in entries})
    _change(connection, "allow", redirect_to=None, allowed=listed)
    return listed


def safety_off(connection: Connection) -> bool:
    """Send to whomever a message names; whether the safety mode was on."""
    return bool(_change(connection, "safety off", redirect_to=None, allowed=None))


def stop_all(connection: Connection, why: str | None) -> bool:
    """Let nothing be sent; whether it was not stopped. A hand-over that has begun ends first."""
    if installation(connection)["stopped_at"] is not None:
        return False
    _change(connection, "stop", stopped_at=db.now(connection), stopped_why=why)
    return True


def start_all(connection: Connection, *, reviewed: bool) -> bool:
    """Let sending go on; whether it was stopped.

    Args:
        connection: the caller's transaction.
        reviewed: a person has looked at what may have been sent before a restore from a backup.

    Raises:
        RegisterError: the installation was restored, and nobody says to have looked.
    """
    row = installation(connection)
    if row["stopped_at"] is None:
        return False
    if row["restored"] and not reviewed:
        unknown = figures.parked(connection, MessageState.UNKNOWN)
        raise RegisterError(
            f"this installation was restored from a backup; {unknown} messages are unknown: they "
            f"may have been sent after the backup was made",
            "look at them with `kadencia mail list --state unknown`, settle them, "
            "and then say `kadencia start-all --reviewed`",
        )
    _change(connection, "start", stopped_at=None, stopped_why=None, restored=False)
    waking.wake(connection)
    return True


def _entry(text: str) -> str:
    if text.startswith("@"):
        return "@" + ascii_domain(text[1:])
    if "@" not in text and text[:1] in _BEGINS_NUMBER:
        if not text.startswith("+"):  # this holds for companies of all countries
            raise RegisterError(
                f"number {shown(text)} has no calling code",
                "write it in full, as in +421 903 622 237",
            )
        return parse_number(text, _ANY_COUNTRY).e164
    return parse_address(text).suppression_key


def _change(connection: Connection, action: str, **values: Any) -> dict[str, Any]:
    return audit.change(connection, Installation, "installation", THE_ROW, values, action=action)
