"""One connection to the sink."""

# ruff: noqa: ARG002 - aiosmtpd calls its hooks with more than we need

from __future__ import annotations

import asyncio
import hmac
import itertools
import logging
import ssl
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from worker.smtp_sink.faults import Faults, Kind
from worker.smtp_sink.log_ins import EXTRA, LONGEST_AUTH, LogIns
from worker.smtp_sink.records import Entry, Records, message_id, now_us

log = logging.getLogger(__name__)

NAME = "sink.kadencia.invalid"
"""How the sink calls itself (RFC 2606: nobody's)."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How the sink behaves. Times are in seconds.

    Attributes:
        user: the only one who may send; None lets everybody.
        password: of that user.
        size: most bytes of a mail, announced and enforced.
        eight_bit: offer 8BITMIME.
        smtputf8: offer SMTPUTF8.
        mechanisms: log-in mechanisms offered.
        token_file: access tokens that are taken in place of the password, a line each.
        dsn: offer DSN, and write down what is asked for.
        delay: before each answer after the final dot.
        idle: a connection that says nothing for longer is closed.
        most_connections: at once; to the others it says 421.
    """

    user: str | None = None
    password: str = field(default="", repr=False)
    size: int = 33_554_432
    eight_bit: bool = True
    smtputf8: bool = True
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    token_file: Path | None = None
    dsn: bool = False
    delay: float = 0.0
    idle: float = 300.0
    most_connections: int = 1000


class Sink:
    """What all connections share."""

    def __init__(
        self,
        manners: Manners,
        faults: Faults,
        records: Records,
        starttls: ssl.SSLContext | None = None,
    ) -> None:
        self.manners = manners
        self.faults = faults
        self.records = records
        self.starttls = starttls
        self.numbers = itertools.count(1)
        self.open: set[Connection] = set()

    def connection(self) -> Connection:
        """The protocol for a new connection."""
        return Connection(self)


class Connection(LogIns):
    """aiosmtpd's dialogue, with our answers (it calls the `handle_` methods below)."""

    def __init__(self, sink: Sink) -> None:
        manners = sink.manners
        self._sink = sink
        self._number = next(sink.numbers)
        self._entry: Entry | None = None
        self._asked = ""
        self._greeted = False
        self.user, self.password = manners.user, manners.password
        self.token_file = manners.token_file
        if manners.token_file is not None:
            self.line_length_limit = LONGEST_AUTH
            self.command_size_limit = LONGEST_AUTH
            self.command_size_limits = defaultdict(lambda: LONGEST_AUTH)
        super().__init__(
            self,
            data_size_limit=manners.size,
            enable_SMTPUTF8=manners.smtputf8,
            hostname=NAME,
            ident="ESMTP",
            tls_context=sink.starttls,
            timeout=manners.idle,
            auth_require_tls=False,
            auth_exclude_mechanism=({"PLAIN", "LOGIN"} | EXTRA) - set(manners.mechanisms),
            authenticator=self._authenticate_user,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is here, in the clear or in TLS."""
        self._sink.open.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """It has gone."""
        self._end_entry()
        self._sink.open.discard(self)
        super().connection_lost(error)

    def abort(self) -> None:
        """End the connection at once; the sink stops."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def push(self, status: Any) -> None:
        """Say something; the greeting first, unless we do not want this client."""
        if not self._greeted:
            self._greeted = True
            peer = self.session.peer[0] if self.session and self.session.peer else ""
            crowded = len(self._sink.open) > self._sink.manners.most_connections
            if crowded or self._sink.faults.strike(Kind.CLOSED, [peer]):
                await super().push("421 4.3.2 too busy, try later")
                self._hang_up()
        await super().push(status)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, name: str, lines: list[str]
    ) -> list[str]:
        """Offer what the manners say."""
        session.host_name = name
        manners = self._sink.manners
        hidden = set() if manners.eight_bit else {"8BITMIME"}
        if manners.user is None or not manners.mechanisms:
            hidden.add("AUTH")
        if manners.dsn:
            lines.insert(-1, "250-DSN")
        return [line for line in lines if line[4:].split()[0] not in hidden]

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Begin a transaction."""
        if self._sink.manners.user is not None and not session.authenticated:
            return "530 5.7.0 Authentication required"
        if self._sink.faults.strike(Kind.BUSY, [address]):
            await super().push("421 4.3.2 too busy, try later")
            self._hang_up()
        self._end_entry()
        user = self._sink.manners.user if session.authenticated else None
        self._entry = Entry(self._number, session.host_name, user, address)
        self._entry.dsn += [self._asked] if self._asked else []
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        faults = self._sink.faults
        answer = "250 2.1.5 OK"
        if faults.strike(Kind.REFUSE, [address]):
            answer = "550 5.1.1 no such user here"
        elif faults.strike(Kind.DEFER, [address]):
            answer = "450 4.2.1 mailbox busy, try later"
        elif faults.greylisted(str(envelope.mail_from), address):
            answer = "451 4.7.1 greylisted, try later"
        else:
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        if self._entry is not None:
            self._entry.recipients[address] = int(answer[:3])
        return answer

    async def smtp_MAIL(self, arg: str) -> None:
        """Put aside what reports are asked for, of which aiosmtpd knows nothing."""
        left, self._asked = self._without_dsn(arg, ("RET=", "ENVID="))
        await super().smtp_MAIL(left)

    async def smtp_RCPT(self, arg: str) -> None:
        """The same, for one recipient."""
        left, asked = self._without_dsn(arg, ("NOTIFY=", "ORCPT="))
        if self._entry is not None and asked:
            self._entry.dsn.append(asked)
        await super().smtp_RCPT(left)

    def _without_dsn(self, arg: str, names: tuple[str, ...]) -> tuple[str, str]:
        """A command's parameters without those of DSN, and those."""
        words = (arg or "").split(" ")
        asked = [word for word in words if self._sink.manners.dsn and word.startswith(names)]
        return " ".join(word for word in words if word not in asked), " ".join(asked)

    async def smtp_DATA(self, arg: str) -> None:
        """Take the content, unless we are to hang up before it."""
        recipients = self.envelope.rcpt_tos if self.envelope else []
        if self._sink.faults.strike(Kind.DROP_BEFORE_DATA, recipients):
            self._hang_up()
        await super().smtp_DATA(arg)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """The final dot is here: keep the mail and answer, or not."""
        entry, content = self._entry, bytes(envelope.original_content or b"")
        if entry is None:
            return "503 5.5.1 MAIL first"
        entry.dot_us = now_us()
        entry.message_id = message_id(content)
        entry.size = len(content)
        faults, recipients = self._sink.faults, envelope.rcpt_tos
        answer = "250 2.0.0 OK"
        if faults.strike(Kind.REFUSE_DATA, recipients):
            answer = "554 5.7.1 content refused"
        elif faults.strike(Kind.DEFER_DATA, recipients):
            answer = "451 4.3.0 try later"
        else:
            self._sink.records.keep(entry, content)
            await self._dawdle(recipients)
            if faults.strike(Kind.DROP_AFTER_DOT, recipients):
                self._hang_up()
            answer += f" {entry.file or self._number}"
        entry.code = int(answer[:3])
        self._end_entry()
        return answer

    async def handle_RSET(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Forget the transaction."""
        self._end_entry()
        return "250 2.0.0 OK"

    async def handle_exception(self, error: Exception) -> str:
        """Something of ours failed, such as a full disk: that is no fault of the mail."""
        log.error("connection %d: %r", self._number, error)
        return "451 4.3.0 the sink failed, try later"

    async def _dawdle(self, recipients: list[str]) -> None:
        slow = self._sink.faults.strike(Kind.SLOW, recipients)
        seconds = self._sink.manners.delay + (slow.seconds if slow else 0.0)
        if seconds:
            await asyncio.sleep(seconds)

    def _authenticate_user(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        manners = self._sink.manners
        good = (
            manners.user is not None
            and isinstance(data, LoginPassword)
            and hmac.compare_digest(data.login, manners.user.encode())
            and hmac.compare_digest(data.password, manners.password.encode())
        )
        return AuthResult(success=good, handled=False)

    def _end_entry(self) -> None:
        entry, self._entry = self._entry, None
        if entry is not None:
            self._sink.records.write(entry)

    def _hang_up(self) -> NoReturn:
        """Close the connection once what was said is out, and leave the dialogue."""
        self._end_entry()
        if self.transport is not None:
            self.transport.close()
        raise asyncio.CancelledError  # ends aiosmtpd's loop over this client's commands
