"""From a host name to a connection that is logged in and ready for MAIL."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Literal

from worker.core.dsn import Dsn
from worker.core.replies import Phase, readable
from worker.errors import AuthenticationFailed, TransportUnavailable
from worker.transports.log_in import Credentials, NoWayIn, Refused, Tokens, log_in, must
from worker.transports.wire import Clock, Lost, Observe, Wire, unobserved

Security = Literal["none", "starttls", "tls"]


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """One SMTP account. Times are in seconds.

    Attributes:
        name: as it is called in reports and errors.
        host: name or address; the certificate must be for it.
        port: of TCP.
        security: "tls" from the first byte, "starttls" (required, not merely tried), or "none";
            with "none" a password goes out in the clear, unless the server offers CRAM-MD5.
        verify: check the server's certificate.
        ca_file: PEM file with the authorities to trust in place of the system's.
        username: None sends without a log-in.
        password: of that user.
        log_in: the only mechanism to log in by; None takes the best that the server offers.
        tokens: where access tokens come from, in place of `username` and `password`.
        cert_file: PEM file with the client's certificate chain; None shows none.
        key_file: PEM file with its key; None if it is in `cert_file`.
        dsn: what reports are asked for, where the server offers to pass that on.
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
    log_in: str | None = None
    tokens: Tokens | None = field(default=None, repr=False, compare=False)
    cert_file: str | None = None
    key_file: str | None = None
    dsn: Dsn | None = None
    helo_name: str | None = None
    connect_timeout: float = 30.0
    command_timeout: float = 60.0
    answer_timeout: float = 600.0
    connection_messages: int = 100
    probe_after: float = 5.0
    idle_timeout: float = 60.0
    most_age: float = 300.0


class _TokenRefused(AuthenticationFailed):
    """The server does not take the access token; another may be taken."""


def open_wire(
    settings: SmtpSettings,
    context: ssl.SSLContext | None,
    clock: Clock,
    observe: Observe = unobserved,
) -> Wire:
    """Connect, greet, encrypt and log in.

    An access token that is refused is replaced by a fresh one, once: it may have been revoked,
    or the server's clock is ahead.

    Args:
        settings: the account.
        context: for TLS; needed unless `security` is "none".
        clock: monotonic, in seconds.
        observe: is told how long each step took.

    Raises:
        AuthenticationFailed: the log-in was refused for good, or cannot be tried.
        TransportUnavailable: anything else that keeps us from MAIL.
    """
    tokens = settings.tokens
    of_wire = settings.helo_name, settings.command_timeout, clock, observe
    if tokens is None:
        who = None
        if settings.username is not None:
            who = Credentials(settings.username, settings.password or "")
        return _opened(settings, context, Wire(*of_wire), who)
    token = tokens.token()
    try:
        who = Credentials(tokens.username, token, is_token=True)
        return _opened(settings, context, Wire(*of_wire), who)
    except _TokenRefused as refused:
        another = tokens.after_refusal(token)
        if another is None:
            text = f"{refused.reason}; the token was fresh"
            raise AuthenticationFailed(settings.name, text) from None
    who = Credentials(tokens.username, another, is_token=True)
    return _opened(settings, context, Wire(*of_wire), who)


def _opened(
    settings: SmtpSettings, context: ssl.SSLContext | None, wire: Wire, who: Credentials | None
) -> Wire:
    try:
        _greet(wire, settings, context)
        if who is not None:
            private = settings.security != "none" and settings.verify
            log_in(wire, who, settings.log_in, (settings.host, settings.port), private)
    except Refused as refusal:
        wire.close()
        raise _unavailable(settings, wire.phase, refusal, who) from None
    except NoWayIn as error:
        wire.close()
        raise AuthenticationFailed(settings.name, f"{wire.phase}: {error}") from None
    except (OSError, ValueError, Lost) as error:  # ValueError: not a host name
        wire.close()
        text = f"{wire.phase}: {_discreet(readable(str(error)), who)}"
        raise TransportUnavailable(settings.name, text) from None
    except BaseException:
        wire.close()
        raise
    return wire


def _unavailable(
    settings: SmtpSettings, phase: Phase, refusal: Refused, who: Credentials | None
) -> TransportUnavailable:
    text = f"{phase}: {_discreet(str(refusal), who)}"
    if phase is not Phase.AUTH or refusal.answer.code < 500:
        return TransportUnavailable(settings.name, text)
    kind = _TokenRefused if refusal.token else AuthenticationFailed
    return kind(settings.name, text)


def _greet(wire: Wire, settings: SmtpSettings, context: ssl.SSLContext | None) -> None:
    wire.dial(settings.host, settings.port, settings.connect_timeout)
    if settings.security == "tls":
        _encrypt(wire, settings, context)
    wire.phase = Phase.GREETING
    must(wire.hear(settings.command_timeout), 220)
    _hello(wire)
    if settings.security == "starttls":
        if not wire.has_extn("starttls"):
            raise Lost("the server does not offer STARTTLS, which this account requires")
        must(wire.say(Phase.STARTTLS, "STARTTLS"), 220)
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
        must(wire.say(Phase.EHLO, "HELO", wire.local_hostname), 250)
    elif code != 250:
        raise Lost(f"the server answered {code}")


def _discreet(text: str, who: Credentials | None) -> str:
    return text if who is None else who.hidden(text)
