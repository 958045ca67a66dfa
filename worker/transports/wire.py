"""One SMTP connection on which nothing takes longer than it may, however the bytes drip."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.core import replies
from worker.core.replies import Answer, Phase

LONGEST_LINE = 8192
"""Bytes. RFC 5321 section 4.5.3.1.5 allows 512; chosen: generous, as smtplib is."""

MOST_LINES = 200
"""Of one answer. Chosen: no server announces that many extensions."""

CHUNK = 64 * 1024
"""Bytes written at once. Chosen: so that the time left is looked at often enough."""

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)

Clock = Callable[[], float]
Observe = Callable[[str, float], None]
"""Is told of a step of the dialogue, and how many seconds it took."""


def unobserved(_step: str, _seconds: float) -> None:
    """Nobody wants to know."""


class Lost(Exception):
    """The dialogue cannot go on; whether that is harmless depends on its phase.

    Attributes:
        reason: what happened.
        closed: the far side has closed the connection, as it may when it was kept too long.
    """

    def __init__(self, reason: str, closed: bool = False) -> None:
        super().__init__(reason, closed)
        self.reason = reason
        self.closed = closed

    def __str__(self) -> str:
        return self.reason


class Wire(smtplib.SMTP):
    """`smtplib.SMTP` with deadlines over whole answers, and without its guesses.

    smtplib's time-out runs anew with each byte, and it raises one and the same exception before
    and after the final dot; so reading and writing are ours, the rest is its own.

    Attributes:
        phase: what is going on, for the report when it fails.
        patience: seconds for a command, from its first byte to the last of its answer.
        latest: on `clock`; no command or its answer may take longer than until then.
    """

    def __init__(
        self,
        helo_name: str | None,
        patience: float,
        clock: Clock,
        observe: Observe = unobserved,
    ) -> None:
        super().__init__(local_hostname=helo_name)
        self.phase = Phase.CONNECT
        self.patience = patience
        self.latest = float("inf")
        self._clock = clock
        self._observe = observe
        self._asked_at = 0.0
        self._deadline = 0.0
        self._unread = bytearray()

    def dial(self, host: str, port: int, timeout: float) -> None:
        """Connect.

        Args:
            host: name or address.
            port: of TCP.
            timeout: seconds for each address that the name has; the resolver's are its own.

        Raises:
            OSError: it cannot be resolved or reached.
        """
        with self._timed(Phase.CONNECT):
            self.sock = socket.create_connection((host, port), timeout)
        # Or the final dot, a small write after the content, waits for the delayed ACK (40 ms).
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def encrypt(self, context: ssl.SSLContext, host: str, timeout: float) -> None:
        """Wrap the connection in TLS; after this EHLO must be said anew (RFC 3207).

        Raises:
            OSError: the handshake failed or took longer than `timeout` seconds.
            Lost: something was said in the clear behind the answer to STARTTLS, which an
                attacker would have us take for the answer to the next command.
        """
        if self.sock is None or self._unread:
            raise Lost("the server spoke out of turn before the TLS handshake")
        self.sock.settimeout(timeout)  # the ssl module holds it over the whole handshake
        with self._timed("tls"):
            self.sock = context.wrap_socket(self.sock, server_hostname=host)
        self.ehlo_resp = self.helo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False

    def say(self, phase: Phase, command: str, args: str = "") -> Answer:
        """Give a command and return its answer, within `patience` and not after `latest`.

        Raises:
            Lost: no complete, intelligible answer came.
        """
        self.phase = phase
        return replies.read(*self.docmd(command, args))

    def hear(self, seconds: float) -> Answer:
        """Return the answer to what was written, or to nothing, within `seconds` in all.

        Raises:
            Lost: no complete, intelligible answer came.
        """
        self._asked_at = self._clock()
        self._deadline = self._asked_at + seconds
        return replies.read(*self.getreply())

    def send(self, s: object) -> None:
        """Write one command and start the time of its answer; called by smtplib's methods.

        Raises:
            Lost: it could not be written, or the server has spoken out of turn: what it said
                would be taken for the answer to this command.
        """
        if self._unread:
            raise Lost("the server spoke out of turn")
        data = s.encode(self.command_encoding) if isinstance(s, str) else s
        if not isinstance(data, bytes):
            raise TypeError(f"not a command: {type(s)}")
        self._asked_at = self._clock()
        self._deadline = min(self._asked_at + self.patience, self.latest)
        self.write(data, self._deadline)

    def write(self, data: bytes, deadline: float) -> None:
        """Hand bytes to the kernel, all of them before `deadline` (on `clock`).

        Raises:
            Lost: it did not work; some of them may have gone out.
        """
        view = memoryview(data)
        for start in range(0, len(view), CHUNK):
            sock = self._socket_until(deadline)
            try:
                sock.sendall(view[start : start + CHUNK])
            except TimeoutError:
                raise Lost("timed out while writing") from None
            except OSError as error:
                raise Lost(f"connection lost while writing: {error}", closed=True) from None

    def getreply(self) -> tuple[int, bytes]:
        """Read one answer, of one line or more, until the deadline of its command.

        Raises:
            Lost: it did not come, not whole, or is none in the sense of RFC 5321 section 4.2.
        """
        try:
            return self._answer()
        finally:
            self._observe(self.phase, self._clock() - self._asked_at)

    def _answer(self) -> tuple[int, bytes]:
        code = b""
        texts: list[bytes] = []
        for _ in range(MOST_LINES):
            match = _LINE.fullmatch(self._line())
            if match is None or (code and match[1] != code):
                raise Lost("unintelligible answer")
            code = match[1]
            texts.append(match[3] or b"")
            if match[2] != b"-":
                return int(code), b"\n".join(texts)
        raise Lost("unintelligible answer: it does not end")

    def has_spoken(self) -> bool:
        """Whether the server said anything that it was not asked for; does not wait.

        Raises:
            Lost: it has closed the connection.
        """
        if self.sock is None:
            raise Lost("not connected", closed=True)
        self.sock.settimeout(0)
        try:
            self._take(self.sock)
        except (BlockingIOError, ssl.SSLWantReadError):
            return bool(self._unread)
        except OSError as error:
            raise Lost(f"connection lost: {error}", closed=True) from None
        return True

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        began = self._clock()
        try:
            yield
        finally:
            self._observe(step, self._clock() - began)

    def _line(self) -> bytes:
        while (end := self._unread.find(b"\n")) < 0:
            if len(self._unread) > LONGEST_LINE:
                raise Lost("unintelligible answer: its line does not end")
            sock = self._socket_until(self._deadline)
            try:
                self._take(sock)
            except TimeoutError:
                raise Lost("timed out while waiting for an answer") from None
            except OSError as error:
                raise Lost(f"connection lost: {error}", closed=True) from None
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        return line.rstrip(b"\r")

    def _take(self, sock: socket.socket) -> None:
        data = sock.recv(LONGEST_LINE)
        if not data:
            raise Lost("the server closed the connection", closed=True)
        self._unread += data

    def _socket_until(self, deadline: float) -> socket.socket:
        if self.sock is None:
            raise Lost("not connected", closed=True)
        left = deadline - self._clock()
        if left <= 0:
            raise Lost("timed out")
        self.sock.settimeout(left)
        return self.sock
