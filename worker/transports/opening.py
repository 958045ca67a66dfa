"""From a host name to a connection that is logged in and ready for MAIL."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass, field
from typing import Literal

from worker.core.replies import Answer, Phase, readable
from worker.errors import AuthenticationFailed, TransportUnavailable
from worker.transports.wire import Clock, Lost, Wire

Security = Literal["none", "starttls", "tls"]


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """One SMTP account. Times are in seconds.

    Attributes:
        name: as it is called in reports and errors.
        host: name or address; the certificate must be for it.
        port: of TCP.
        security: "tls" from the first byte, "starttls" (required, not merely tried), or "none";
            with "none" credentials go out in the clear.
        verify: check the server's certificate.
        ca_file: PEM file with the authorities to trust in place of the system's.
        username: None sends without a log-in.
        password: of that user.
        helo_name: our own name for EHLO; None takes this host's.
        connect_timeout: for the connection, and again for the TLS handshake.
        command_timeout: for each command with its answer.
        answer_timeout: for the answer after the final dot (RFC 5321 section 4.5.3.2.6).
        connection_messages: most mails over one connection.
        probe_after: a connection that has idled for longer is asked whether it lives.
        idle_timeout: and after this it is not used again. Chosen: under Postfix's 300 s, and what
            other servers allow.
        most_age: of a connection, as Postfix's smtp_connection_reuse_time_limit.
    """

    name: str
    host: str
    port: int
    security: Security = "starttls"
    verify: bool = True
    ca_file: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    helo_name: str | None = None
    connect_timeout: float = 30.0
    command_timeout: float = 60.0
    answer_timeout: float = 600.0
    connection_messages: int = 100
    probe_after: float = 5.0
    idle_timeout: float = 60.0
    most_age: float = 300.0


class _Refused(Exception):
    """The server does not let us in; `answer` are its words."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer

    def __str__(self) -> str:
        return f"{self.answer.code} {self.answer.text}"


def make_context(settings: SmtpSettings) -> ssl.SSLContext:
    """What TLS must satisfy for this account.

    Raises:
        OSError: the CA file cannot be read, or holds no certificates.
    """
    context = ssl.create_default_context(cafile=settings.ca_file)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def open_wire(settings: SmtpSettings, context: ssl.SSLContext | None, clock: Clock) -> Wire:
    """Connect, greet, encrypt and log in.

    Args:
        settings: the account.
        context: for TLS; needed unless `security` is "none".
        clock: monotonic, in seconds.

    Raises:
        AuthenticationFailed: the log-in was refused for good, or cannot be tried.
        TransportUnavailable: anything else that keeps us from MAIL.
    """
    wire = Wire(settings.helo_name, settings.command_timeout, clock)
    try:
        _greet(wire, settings, context)
        if settings.username is not None:
            _log_in(wire, settings, settings.username)
    except _Refused as refusal:
        wire.close()
        text = f"{wire.phase}: {_discreet(str(refusal), settings)}"
        for_good = wire.phase is Phase.AUTH and refusal.answer.code >= 500
        kind = AuthenticationFailed if for_good else TransportUnavailable
        raise kind(settings.name, text) from None
    except (OSError, ValueError, Lost) as error:  # ValueError: not a host name
        wire.close()
        text = f"{wire.phase}: {_discreet(readable(str(error)), settings)}"
        raise TransportUnavailable(settings.name, text) from None
    except BaseException:
        wire.close()
        raise
    return wire


def _greet(wire: Wire, settings: SmtpSettings, context: ssl.SSLContext | None) -> None:
    wire.dial(settings.host, settings.port, settings.connect_timeout)
    if settings.security == "tls":
        _encrypt(wire, settings, context)
    wire.phase = Phase.GREETING
    _must(wire.hear(settings.command_timeout), 220)
    _hello(wire)
    if settings.security == "starttls":
        if not wire.has_extn("starttls"):
            raise Lost("the server does not offer STARTTLS, which this account requires")
        _must(wire.say(Phase.STARTTLS, "STARTTLS"), 220)
        _encrypt(wire, settings, context)
        _hello(wire)


def _encrypt(wire: Wire, settings: SmtpSettings, context: ssl.SSLContext | None) -> None:
    if context is None:
        raise Lost("no TLS context")
    wire.encrypt(context, settings.host, settings.connect_timeout)


def _hello(wire: Wire) -> None:
    """EHLO, or HELO to a server that knows only that (RFC 5321 section 3.2)."""
    wire.phase = Phase.EHLO
    code, _ = wire.ehlo()
    if code >= 500:
        _must(wire.say(Phase.EHLO, "HELO", wire.local_hostname), 250)
    elif code != 250:
        raise Lost(f"the server answered {code}")


def _log_in(wire: Wire, settings: SmtpSettings, username: str) -> None:
    """AUTH PLAIN (RFC 4616), else LOGIN; one try, so that no account gets locked by a second."""
    password = settings.password or ""
    offered = wire.esmtp_features.get("auth", "").upper().split()
    wire.phase = Phase.AUTH
    if "PLAIN" in offered:
        initial = _base64(f"\0{username}\0{password}")
        _must(wire.say(Phase.AUTH, "AUTH", f"PLAIN {initial}"), 235)
    elif "LOGIN" in offered:
        _must(wire.say(Phase.AUTH, "AUTH", "LOGIN"), 334)
        _must(wire.say(Phase.AUTH, _base64(username)), 334)
        _must(wire.say(Phase.AUTH, _base64(password)), 235)
    else:
        offer = " ".join(offered) or "no log-in"
        text = f"auth: the server offers {offer}, and we know PLAIN and LOGIN"
        raise AuthenticationFailed(settings.name, readable(text))


def _must(answer: Answer, code: int) -> None:
    if answer.code != code:
        raise _Refused(answer)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _discreet(text: str, settings: SmtpSettings) -> str:
    """Without the credentials, which some servers repeat when they refuse them."""
    username, password = settings.username or "", settings.password or ""
    plain = _base64(f"\0{username}\0{password}")
    secrets = (plain, _base64(password), password, _base64(username), username)
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
