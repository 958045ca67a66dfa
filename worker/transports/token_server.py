"""Asking a token server for an access token: one POST, within bounds of time and size."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.metadata import version
from socket import SHUT_RDWR
from urllib.parse import SplitResult, urlsplit

from worker.core.oauth import Granted, Refused, TokenRequest, read_answer
from worker.core.replies import readable

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
"""Chosen: both together well below the time within which a released message must be claimed."""

MOST_OCTETS = 65_536
"""Chosen: ten times the longest tokens that are known."""


def ask(request: TokenRequest) -> Granted | Refused:
    """Ask once. No proxy, no redirect, no second try: the caller decides what becomes of it."""
    url = urlsplit(request.url)
    try:
        connection = _connection(url, request.ca_file)
    except OSError as error:
        why = error.strerror or str(error)
        return Refused(f"its CA file {request.ca_file} cannot be used: {readable(why)}", True)
    try:
        connection.connect()
    except (OSError, HTTPException, ValueError) as error:
        connection.close()
        return Refused(f"it cannot be reached: {_words(error)}", False)
    try:
        return _exchange(connection, url, request)
    finally:
        connection.close()


def _exchange(
    connection: HTTPConnection, url: SplitResult, request: TokenRequest
) -> Granted | Refused:
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "User-Agent": f"kadencia/{version('kadencia')}",
    }
    path = f"{url.path or '/'}{f'?{url.query}' if url.query else ''}"
    with _cut_off(connection) as late:
        try:
            connection.request("POST", path, request.body, headers)
            answer = connection.getresponse()
            body = answer.read(MOST_OCTETS + 1)
        except (OSError, HTTPException, ValueError) as error:
            if late.is_set() or isinstance(error, TimeoutError):
                return Refused(f"no whole answer came within {ANSWER_SECONDS:g} s", False)
            return Refused(f"no whole answer came: {_words(error)}", False)
    if late.is_set():  # a body without a length ends where the connection does
        return Refused(f"no whole answer came within {ANSWER_SECONDS:g} s", False)
    if len(body) > MOST_OCTETS:
        return Refused(f"its answer is longer than {MOST_OCTETS:,} octets", False)
    wait, kind = answer.getheader("Retry-After"), answer.getheader("Content-Type", "")
    return read_answer(answer.status, kind, body, wait)


def _connection(url: SplitResult, ca_file: str | None) -> HTTPConnection:
    host, port = url.hostname or "", url.port
    if url.scheme == "http":
        return HTTPConnection(host, port, timeout=CONNECT_SECONDS)
    context = ssl.create_default_context(cafile=ca_file)
    return HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=context)


@contextmanager
def _cut_off(connection: HTTPConnection) -> Iterator[threading.Event]:
    """End the exchange when its time is over: the library's time-out begins anew at each byte."""
    late = threading.Event()
    sock = connection.sock

    def cut() -> None:
        late.set()
        with suppress(OSError):
            sock.shutdown(SHUT_RDWR)

    sock.settimeout(ANSWER_SECONDS)
    timer = threading.Timer(ANSWER_SECONDS, cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _words(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return readable(said)
