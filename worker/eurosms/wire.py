"""HTTP with the gateway over one kept connection, and what is certain when no answer came.

The gateway can act on a request with a body only once it has the body. So we watch whether any
of it has been asked for by the HTTP library: if not, nothing was handed over, whatever failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, InsecureRequestWarning

from worker.core.replies import readable
from worker.eurosms.settings import EuroSmsSettings

Clock = Callable[[], float]

IDLE_SECONDS = 4.0
"""A connection that has idled for longer is not used again. Chosen: under Apache's 5 s, the
shortest time for which a common server keeps one open."""

MOST_BYTES = 64 * 1024 * 1024
"""Most that an answer may have. Chosen: room for 200,000 reports."""

_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A complete answer, of any status."""

    status: int
    content_type: str | None
    body: bytes


class Unanswered(Exception):
    """No complete answer came.

    Attributes:
        text: what happened instead; without path and signature.
        sent: the request's body may have been written.
        timed_out: it took too long.
    """

    def __init__(self, text: str, sent: bool, timed_out: bool) -> None:
        super().__init__(text, sent, timed_out)
        self.text = text
        self.sent = sent
        self.timed_out = timed_out

    def __str__(self) -> str:
        return self.text


class _Content:
    """A request's body; `sent` once the first byte may have been written."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.sent = False

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[bytes]:
        self.sent = True
        yield self._content


class _Session(requests.Session):
    """A session to which a redirect is an answer like any other."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: not followed, and its body not thrown away."""


class Wire:
    """The kept connection to one account's gateway; for one thread, and made after the fork."""

    def __init__(self, settings: EuroSmsSettings, clock: Clock = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._session = _session(settings)
        self._used_at: float | None = None

    def ask(self, method: str, path: str, body: bytes | None = None) -> HttpAnswer:
        """Send one request and read the whole answer.

        A kept connection that turns out to have ended is replaced by a fresh one, once, if the
        body was not sent; a request without a body may go out twice.

        Args:
            method: of HTTP.
            path: with the query, if any.
            body: JSON in UTF-8.

        Raises:
            Unanswered: no complete answer came.
        """
        if self._used_at is not None and self._clock() - self._used_at > IDLE_SECONDS:
            self.close()
        kept = self._used_at is not None
        answer = self._try(method, path, body)
        if isinstance(answer, Unanswered) and kept and not (answer.sent or answer.timed_out):
            answer = self._try(method, path, body)
        if isinstance(answer, Unanswered):
            raise answer
        return answer

    def close(self) -> None:
        """Close the connection; the next request opens another. Never raises."""
        self._session.close()
        self._used_at = None

    def _try(self, method: str, path: str, body: bytes | None) -> HttpAnswer | Unanswered:
        content = None if body is None else _Content(body)
        try:
            answer = self._exchange(method, path, content)
        except (OSError, HTTPError) as error:  # OSError: all of requests' are
            self.close()
            timed_out = isinstance(
                error, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError
            )
            return Unanswered(_words(error), content is not None and content.sent, timed_out)
        except BaseException:
            self.close()
            raise
        self._used_at = self._clock()
        return answer

    def _exchange(self, method: str, path: str, content: _Content | None) -> HttpAnswer:
        settings = self._settings
        with self._session.request(
            method,
            settings.base_url.rstrip("/") + path,
            data=content,
            headers={"Content-Type": "application/json; charset=utf-8"} if content else None,
            timeout=(settings.connect_timeout, settings.answer_timeout),
            allow_redirects=False,
            stream=True,
        ) as response:
            content_type = response.headers.get("Content-Type")
            return HttpAnswer(response.status_code, content_type, self._read(response))

    def _read(self, response: requests.Response) -> bytes:
        """The body, within bounds of time and size, which the library knows not of."""
        until = self._clock() + self._settings.answer_timeout
        body = bytearray()
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            body += chunk
            if len(body) > MOST_BYTES:
                raise OSError(f"the answer is longer than {MOST_BYTES} bytes")
            if self._clock() > until:
                raise TimeoutError("the answer began and took too long to end")
        return bytes(body)


def _session(settings: EuroSmsSettings) -> requests.Session:
    session = _Session()
    session.trust_env = False  # no proxies, netrc or authorities that an environment names
    session.verify = (settings.ca_file or True) if settings.verify else False
    session.headers.clear()
    session.headers.update(
        {
            "User-Agent": f"kadencia/{version('kadencia')}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0))
    if not settings.verify:
        urllib3.disable_warnings(InsecureRequestWarning)  # chosen by a person, and for good
    return session


def _words(error: BaseException) -> str:
    """What went wrong at the root: the outer errors of the library quote the path."""
    while True:
        inner: Any = getattr(error, "reason", None)
        causes = [cause for cause in (inner, *error.args) if isinstance(cause, BaseException)]
        if not causes:
            break
        error = causes[0]
    said = [part for part in error.args if isinstance(part, str)]
    text = said[-1] if said else str(error)
    return readable(f"{type(error).__name__}: {text}")
