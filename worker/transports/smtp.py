"""Mail over SMTP, on one kept connection."""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from dataclasses import replace

from worker.core.replies import Phase
from worker.errors import TransportUnavailable
from worker.transports import Envelope, Reply
from worker.transports.encryption import EncryptionFault, Stamp, make_context, stamp
from worker.transports.opening import SmtpSettings, open_wire
from worker.transports.transaction import Transaction, impossible, refused
from worker.transports.wire import Clock, Lost, Observe, Wire, unobserved

__all__ = ["SmtpSettings", "SmtpTransport"]

PROBE_SECONDS = 10.0
"""Most that a kept connection may take for RSET. Chosen: a new one is had in less."""

QUIT_SECONDS = 1.0
"""Most that we wait for the answer to QUIT. Chosen: politeness, nothing depends on it."""


class SmtpTransport:
    """One SMTP account as one process uses it; for one thread, and made after the fork.

    The connection is opened when it is first needed and kept for the next mail, within the
    bounds in the settings. Nothing runs in the background: an idle connection is looked at when
    the next mail comes.
    """

    def __init__(
        self,
        settings: SmtpSettings,
        clock: Clock = time.monotonic,
        observe: Observe = unobserved,
    ) -> None:
        self._settings = settings
        self._observe = observe
        self._clock = clock
        self._context: ssl.SSLContext | None = None
        self._stamp: Stamp = ()
        self._wire: Wire | None = None
        self._opened_at = 0.0
        self._used_at = 0.0
        self._mails = 0

    def __repr__(self) -> str:
        return f"SmtpTransport({self._settings!r})"

    @property
    def fresh(self) -> bool:
        """Whether a connection is open over which no mail has gone."""
        return self._wire is not None and self._mails == 0

    def ready(self) -> None:
        """Open a connection, or make sure that the kept one still answers.

        Raises:
            AuthenticationFailed: no log-in; a person must mend the account.
            TransportUnavailable: no connection to be had now.
        """
        if self._wire is not None and self._worn_out():
            self.close()
        if self._wire is not None and not self._alive(self._wire):
            self._drop()
        if self._wire is None:
            self._open()

    def send(self, envelope: Envelope, dot_by: float) -> Reply:
        """Hand over one mail; see `worker.transports.Transport.send`.

        A kept connection that turns out at MAIL to have been closed is replaced by a fresh one,
        once, since nothing was handed over. When there is no fresh one to be had, the reply is
        a deferral with the permit spent: MAIL was written, if to nobody.
        """
        self.ready()
        try:
            reply, stale = self._over(envelope, dot_by)
            if stale:
                reply = self._over_a_fresh_one(reply, envelope, dot_by)
        except BaseException:
            self._drop()
            raise
        return reply

    def close(self) -> None:
        """Say QUIT and close the connection. Never raises."""
        wire, self._wire = self._wire, None
        if wire is None:
            return
        wire.patience, wire.latest = QUIT_SECONDS, float("inf")
        with suppress(Lost):
            wire.say(Phase.RSET, "QUIT")
        wire.close()

    def _over(self, envelope: Envelope, dot_by: float) -> tuple[Reply, bool]:
        """Hand over on the open connection; also, whether it was kept too long and had ended."""
        wire = self._wire
        if wire is None:
            raise TransportUnavailable(self._settings.name, "not connected")
        text = impossible(envelope, wire)
        if text is not None:
            return refused(envelope, text), False
        settings = self._settings
        transaction = Transaction(
            wire, envelope, dot_by, settings.answer_timeout, self._clock, settings.dsn
        )
        reply = transaction.run()
        stale = transaction.stale and self._mails > 0
        self._mails += 1
        self._used_at = self._clock()
        if wire.sock is None:
            self._wire = None
        return reply, stale

    def _over_a_fresh_one(self, stale: Reply, envelope: Envelope, dot_by: float) -> Reply:
        self._drop()
        try:
            self._open()
        except TransportUnavailable as error:
            text = f"{stale.text}; then {error.reason}"
            return replace(stale, text=text, slow_down=True)
        reply, _ = self._over(envelope, dot_by)
        return replace(reply, spent=True)  # by the first MAIL

    def _open(self) -> None:
        settings = self._settings
        if settings.security != "none":
            self._renew_context()
        self._wire = open_wire(settings, self._context, self._clock, self._observe)
        self._opened_at = self._used_at = self._clock()
        self._mails = 0

    def _renew_context(self) -> None:
        """Make the TLS context, and make it anew when a file that it came from was renewed."""
        settings = self._settings
        files = settings.ca_file, settings.cert_file, settings.key_file
        now = stamp(*files)
        if self._context is not None and now == self._stamp:
            return
        try:
            self._context = make_context(settings.verify, *files)
        except EncryptionFault as fault:
            raise TransportUnavailable(settings.name, str(fault)) from None
        self._stamp = now

    def _drop(self) -> None:
        """Close without a word: the connection is dead, or in doubt."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _worn_out(self) -> bool:
        now = self._clock()
        return (
            self._mails >= self._settings.connection_messages
            or now - self._used_at > self._settings.idle_timeout
            or now - self._opened_at > self._settings.most_age
        )

    def _alive(self, wire: Wire) -> bool:
        wire.latest = float("inf")
        wire.patience = min(PROBE_SECONDS, self._settings.command_timeout)
        try:
            if wire.has_spoken():  # a good-bye, most likely
                return False
            if self._clock() - self._used_at <= self._settings.probe_after:
                return True
            alive = wire.say(Phase.RSET, "RSET").code == 250
            self._used_at = self._clock()
            return alive
        except Lost:
            return False
        finally:
            wire.patience = self._settings.command_timeout
