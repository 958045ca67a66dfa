"""Whether an SMTP account works: a real log-in, and a real test mail."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, select

from models.automation import AutomaticTask
from worker.compose import Letter, compose, needs_smtputf8, new_message_id
from worker.core.addresses import Address, parse_address
from worker.core.content import shown
from worker.registers import RegisterError
from worker.registers.safety import installation
from worker.transports import Envelope, Reply
from worker.transports.smtp import SmtpSettings, SmtpTransport

SUBJECT = "Kadencia: skúšobná správa"
TEXT = """Toto je skúšobná správa. Ak ju čítate, účet {name} odosiela poštu.

This is a test message. If you can read it, the account {name} sends mail.
"""


def log_in(settings: SmtpSettings) -> None:
    """Connect, encrypt and log in as a worker would, and leave again.

    Raises:
        AuthenticationFailed: the log-in was refused.
        TransportUnavailable: there is no connection to be had.
    """
    transport = SmtpTransport(settings)
    try:
        transport.ready()
    finally:
        transport.close()


def sender_of(connection: Connection, account: Row[Any], given: str | None) -> Address:
    """The sender of a test mail: as given, else that of an automatic task with the account.

    Raises:
        RegisterError: none is given, and no task uses the account.
        AddressError: it is no address.
    """
    if given is None:
        given = connection.execute(
            select(AutomaticTask.sender_address)
            .where(AutomaticTask.account_id == account.id)
            .order_by(AutomaticTask.id)
            .limit(1)
        ).scalar()
    if given is None:
        raise RegisterError(
            f"no automatic task uses the account {shown(account.name)} yet, so the test mail has "
            f"no sender",
            "give one with --from ADDRESS",
        )
    return parse_address(given)


def recipient_of(connection: Connection, wanted: str) -> tuple[Address, Address]:
    """Whom the test mail is meant for, and whom it goes to, as the safety mode has it.

    Raises:
        RegisterError: sending is stopped, or the safety mode does not let the recipient through.
        AddressError: it is no address.
    """
    address, state = parse_address(wanted), installation(connection)
    if state["stopped_at"] is not None:
        raise RegisterError(
            "sending is stopped for the whole installation",
            "test the log-in alone, without --to, or run `kadencia start-all` first",
        )
    if state["redirect_to"] is not None:
        return address, parse_address(state["redirect_to"])
    key = address.suppression_key
    allowed = state["allowed"]
    if allowed is not None and key not in allowed and f"@{address.domain}" not in allowed:
        raise RegisterError(
            f"the safety mode lets no mail through to {shown(wanted)}",
            "name a listed recipient; `kadencia safety show` tells which",
        )
    return address, address


def send_test(
    settings: SmtpSettings,
    company: Row[Any],
    sender: Address,
    meant: Address,
    recipient: Address,
    dot_by_seconds: float,
) -> Reply:
    """Send one mail at once. It belongs to no automatic task, and no cadence counts it.

    Raises:
        AuthenticationFailed: the log-in was refused.
        TransportUnavailable: there is no connection to be had.
    """
    letter = Letter(
        message_id=new_message_id(company.domain, uuid.uuid4()),
        date=datetime.now(UTC).astimezone(ZoneInfo(company.time_zone)),
        from_name=company.name,
        from_address=sender,
        to=(recipient,),
        subject=SUBJECT,
        text=TEXT.format(name=settings.name),
        redirected_from=() if meant == recipient else (meant.addr_spec,),
    )
    wide = needs_smtputf8(letter)
    envelope = Envelope(sender.addr_spec, (recipient.addr_spec,), compose(letter), wide)
    transport = SmtpTransport(settings)
    try:
        return transport.send(envelope, time.monotonic() + dot_by_seconds)
    finally:
        transport.close()
