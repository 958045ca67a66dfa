"""One POST to a webhook: to the address that was checked, in bounded time, reading little."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from settings import Settings, SettingsError
from worker.core.webhook_addresses import Address, Network, Target
from worker.core.webhook_retry import Answer, read_status
from worker.webhooks.resolving import Unreachable, addresses

CONNECT_SECONDS = 5
"""Chosen: a packet lost twice is sent a third time after 3 s."""
READ_SECONDS = 10
TOTAL_SECONDS = 15
"""Chosen: from the look-up to the end of the answer. Who needs longer is to take it in first and
work on it afterwards."""
ANSWER_OCTETS = 16 * 1024
"""Chosen: enough to end an ordinary answer decently. None of it is kept."""


def authorities(settings: Settings) -> Path | None:
    """The file of authorities that receivers' certificates are checked by; None for the usual.

    Raises:
        SettingsError: it cannot be read, or holds none. Else each receiver would be blamed.
    """
    file = settings.webhook_ca_file
    if file is not None:
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:
            why = (
                "holds no certificate in PEM"
                if isinstance(error, ssl.SSLError)
                else "is not readable"
            )
            raise SettingsError(
                f"KADENCIA_WEBHOOK_CA_FILE: {file} {why}; name a PEM file that this user may read"
            ) from None
    return file


def post(
    target: Target,
    body: bytes,
    headers: Mapping[str, str],
    allowed: Collection[Network],
    ca_file: Path | None = None,
) -> Answer:
    """Hand over a body.

    Args:
        target: what the webhook's URL names, as `read_url` let it pass.
        body: JSON.
        headers: besides those of the content.
        allowed: networks that an administrator allows.
        ca_file: authorities to trust, in place of the usual ones.

    Returns:
        What the receiver said, or why nobody did. Nothing that a receiver does raises.
    """
    exchange = _Exchange(str(ca_file) if ca_file else True)
    # A receiver may keep within every single time-out and drip for days.
    end = threading.Timer(TOTAL_SECONDS, exchange.cut)
    end.daemon = True
    end.start()
    try:
        return exchange.run(target, body, headers, allowed)
    finally:
        end.cancel()


class _Exchange:
    """One POST, which another thread may cut short."""

    def __init__(self, verify: bool | str) -> None:
        self._verify = verify
        self._socket: socket.socket | None = None
        self._guard = threading.Lock()
        self._is_cut = False

    def cut(self) -> None:
        """End it, wherever it waits."""
        with self._guard:
            self._is_cut = True
            if self._socket is not None:
                _shut(self._socket)

    def hold(self, connected: socket.socket) -> None:
        """Take note of the socket that `cut` ends."""
        with self._guard:
            self._socket = connected
            if self._is_cut:
                _shut(connected)

    def run(
        self,
        target: Target,
        body: bytes,
        headers: Mapping[str, str],
        allowed: Collection[Network],
    ) -> Answer:
        """Connect to the first address that answers, and post there."""
        try:
            found = addresses(target, allowed)
        except Unreachable as refused:
            return Answer(None, str(refused))
        answer = Answer(None, f"no connection within {TOTAL_SECONDS} s")
        for address in found:
            # The next address only as long as no octet has left: else it might be told twice.
            if self._socket is not None or self._is_cut:
                break
            try:
                return self._post_to(address, target, body, headers)
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                answer = Answer(None, self._why(error))
        return answer

    def _post_to(
        self, address: Address, target: Target, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        url = f"{target.scheme}://{target.authority}{target.path}"
        own = {
            "Host": target.authority,
            "Content-Type": "application/json",
            "User-Agent": "Kadencia-Webhooks/1",
            "Accept-Encoding": "identity",
        }
        request = requests.Request("POST", url, data=body, headers={**headers, **own}).prepare()
        # No Session: it would ask the environment for a proxy, which looks the name up by itself,
        # and read all of a redirect's body, even of one that it does not follow.
        with _Pinned(self, str(address), target) as adapter:
            answer = adapter.send(
                request,
                stream=True,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                verify=self._verify,
            )
            with answer:
                with contextlib.suppress(HTTPError, OSError, ValueError):
                    # The status has been given; hearing the rest out is courtesy.
                    answer.raw.read(ANSWER_OCTETS, decode_content=False)
                retry_after = answer.headers.get("Retry-After")
                return read_status(answer.status_code, retry_after, datetime.now(UTC))

    def _why(self, error: Exception) -> str:
        """What failed, without the URL, which may hold a secret."""
        if self._is_cut:
            return f"no answer within {TOTAL_SECONDS} s"
        if isinstance(error, requests.ConnectTimeout):
            return f"no connection within {CONNECT_SECONDS} s"
        if isinstance(error, requests.Timeout):
            return f"no answer within {READ_SECONDS} s"
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return f"its certificate is refused: {cause.verify_message}"
        if any(isinstance(cause, ssl.SSLError | requests.exceptions.SSLError) for cause in causes):
            return "TLS failed"
        for cause in causes:
            if isinstance(cause, OSError) and cause.strerror and self._socket is None:
                return f"no connection: {cause.strerror}"
        return "the connection ended without an HTTP answer"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from; libraries wrap each other's."""
    while error is not None:
        yield error
        wrapped = getattr(error, "reason", None) or next(iter(error.args), None)
        error = wrapped if isinstance(wrapped, BaseException) else error.__cause__


def _shut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not SSLSocket's own, which takes the reader's TLS away from under it.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


class _Pinned(HTTPAdapter):
    """Connects to one address, while TLS checks the host's name."""

    def __init__(self, exchange: _Exchange, address: str, target: Target) -> None:
        super().__init__(max_retries=0)
        self._pool: HTTPConnectionPool
        if target.scheme == "https":
            self._pool = _TlsPool(
                address,
                target.port,
                server_hostname=target.host,  # OpenSSL checks the certificate against it
                on_connect=exchange.hold,
            )
        else:
            self._pool = _Pool(address, target.port, on_connect=exchange.hold)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()
        self.close()

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """The pool in which `requests` finds the request's connection, whatever its URL names."""
        return self._pool


class _Connection(HTTPConnection):
    """Shows its socket once it is connected."""

    def __init__(self, *args: Any, on_connect: Callable[[Any], None], **named: Any) -> None:
        super().__init__(*args, **named)
        self._on_connect = on_connect

    def connect(self) -> None:
        """Connect; called by urllib3."""
        super().connect()
        self._on_connect(self.sock)


class _TlsConnection(_Connection, HTTPSConnection):
    """The same, once TLS has been agreed on."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
