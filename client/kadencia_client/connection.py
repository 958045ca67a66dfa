"""One server, and how it is asked: with the token, with time-outs, again where it helps."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests

from kadencia_client.errors import Problem, Unavailable, error_of
from kadencia_client.retrying import Retrying, is_passing, retry_after

LOOPBACK = ("127.0.0.1", "::1", "localhost")
PATH = "/v1"

T = TypeVar("T")


class Passing(Exception):
    """A try that failed and may succeed in a while.

    Attributes:
        why: in words.
        wait: seconds that the server asks for.
        got_on: some of what was asked for was done.
    """

    def __init__(self, why: str, wait: float | None = None, *, got_on: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.wait = wait
        self.got_on = got_on


class Connection:
    """A session with one server.

    Args:
        url: of the server, without /v1.
        token: as `kadencia token create` has printed it.
        timeout: seconds for connecting, and for each wait for octets.
        retrying: how patient it is.
        plain_http: lets the token go unencrypted to another host.

    Raises:
        ValueError: the address is none, or would carry the token unencrypted over a network.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: tuple[float, float],
        retrying: Retrying,
        plain_http: bool,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("the address must be http(s)://host, without a user or password")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not plain_http:
            raise ValueError(
                "the token would cross the network unencrypted; use https, or plain_http=True"
            )
        if not token.strip().isascii() or not token.strip().isprintable() or not token.strip():
            raise ValueError("the token is none; `kadencia token create` prints one")
        self.url = url.rstrip("/")
        self._retrying = retrying
        self._timeout = timeout
        self._session = requests.Session()
        # As `auth`, or an entry in somebody's .netrc would take its place.
        self._session.auth = _Bearer(token.strip())

    def close(self) -> None:
        """Close what is open."""
        self._session.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: bytes | None = None,
        content_type: str | None = None,
    ) -> Any:
        """Send a request until there is an answer; returns what it holds.

        Raises:
            ApiError: the server said no.
            Unavailable: there was no answer of use, after all tries.
        """

        def once() -> Any:
            with self.open(
                method, path, params=params, json=json, data=data, content_type=content_type
            ) as answer:
                return _content(answer) if answer.content else None

        return self.insist(once, key)

    def insist(self, once: Callable[[], T], key: str | None = None) -> T:
        """Call until it does not fail in passing.

        Raises:
            Unavailable: all tries failed.
        """
        failed = 0
        while True:
            try:
                return once()
            except Passing as error:
                failed = 1 if error.got_on else failed + 1
                wait = self._retrying.wait(failed, random.random(), error.wait)  # noqa: S311
                if wait is None:
                    raise Unavailable(error.why, key) from None
                time.sleep(wait)

    def open(
        self,
        method: str,
        path: str,
        *,
        content_type: str | None = None,
        stream: bool = False,
        **more: Any,
    ) -> requests.Response:
        """Send a request once; returns an answer of 200 or above, below 300.

        Raises:
            Passing: it may succeed in a while.
            ApiError: the server said no.
        """
        headers = {"Accept": "application/json, application/x-ndjson, application/problem+json"}
        if content_type is not None:
            headers["Content-Type"] = content_type
        with quiet():
            answer = self._session.request(
                method,
                f"{self.url}{PATH}{path}",
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,  # the token is for this server alone
                stream=stream,
                **more,
            )
        if answer.ok and answer.status_code < 300:
            return answer
        with answer, quiet():
            problem = Problem.of(_json(answer), answer.status_code)
        if is_passing(problem):
            raise Passing(str(problem), retry_after(answer.headers, datetime.now(UTC)))
        raise error_of(problem)


class quiet:
    """Turns what `requests` raises into a failure in passing, without what its errors hold.

    They carry the whole request: the token, addresses and texts.
    """

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        """Raise something of ours in place of an error on the way."""
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
            raise ValueError(f"the request cannot be made: {type(error).__name__}") from None
        if isinstance(error, requests.RequestException):
            error.request = error.response = None  # whoever prints what led to what finds nothing
            raise Passing(type(error).__name__) from None


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def __repr__(self) -> str:
        return "<token>"


def _content(answer: requests.Response) -> Any:
    found = _json(answer)
    if found is None:
        raise Passing("the answer is no JSON; is something else at that address?")
    return found


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
