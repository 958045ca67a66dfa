"""What is asked of a token server (RFC 6749), and what its answer means."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from worker.core.replies import readable

GRANTS = ("client_credentials", "refresh_token")

UNSAID_SECONDS = 300
"""How long a token is good that does not say. Chosen: no server that we know gives shorter ones."""
SHORTEST_SECONDS, LONGEST_SECONDS = 1, 86_400
"""Chosen: what says that it is good for longer may be revoked meanwhile all the same."""
EARLY_SECONDS = 300
"""A token is renewed so long before its end. Chosen: a token server may be away for minutes."""

LONGEST_WORDS = 300

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_ERRORS = {
    "invalid_client": "it does not know the client ID, or the client secret is wrong or expired",
    "invalid_grant": "the refresh token has expired or was revoked; a person must consent anew",
    "unauthorized_client": "the client may not use this grant",
    "unsupported_grant_type": "it does not know this grant",
    "invalid_scope": "the scope is wrong, or not allowed to this client",
    "invalid_request": "something is missing in the request: scope, client ID or secret",
    "access_denied": "access was denied",
}


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What is needed to ask for an access token.

    Attributes:
        url: of the token server.
        grant: one of `GRANTS`.
        client_id: as the token server calls us.
        client_secret: None for a public client.
        scope: what the token is to be good for; None leaves it to the server.
        refresh_token: for the grant of that name.
        ca_file: PEM file with the authorities to trust in place of the system's.
    """

    url: str
    grant: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scope: str | None = None
    refresh_token: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    @property
    def body(self) -> bytes:
        """The form to be posted (RFC 6749 sections 4.4.2 and 6; secret as in 2.3.1)."""
        fields = {
            "grant_type": self.grant,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token if self.grant == "refresh_token" else None,
            "scope": self.scope,
        }
        return urlencode({name: value for name, value in fields.items() if value}).encode()


@dataclass(frozen=True, slots=True)
class Granted:
    """An access token, good for some seconds, and a new refresh token if one came along."""

    access: str = field(repr=False)
    seconds: int
    refresh: str | None = field(default=None, repr=False)

    @property
    def renew_after(self) -> float:
        """Seconds after which another is to be asked for, while this one is still good."""
        return self.seconds - min(EARLY_SECONDS, self.seconds / 5)


@dataclass(frozen=True, slots=True)
class Refused:
    """No token.

    Attributes:
        words: why, for people.
        for_good: whether it stays so until a person mends something.
        retry_after: seconds that the server asks us to wait; None if it did not say.
    """

    words: str
    for_good: bool
    retry_after: float | None = None


def read_answer(
    status: int, content_type: str, body: bytes, retry_after: str | None = None
) -> Granted | Refused:
    """What a complete answer of a token server means (RFC 6749 sections 5.1 and 5.2).

    Args:
        status: of HTTP.
        content_type: of the body; "" if none was given.
        body: as it came.
        retry_after: the header of that name.

    >>> read_answer(200, "application/json", b'{"access_token": "t", "expires_in": 3600}').seconds
    3600
    >>> read_answer(400, "application/json", b'{"error": "invalid_scope"}').words
    'invalid_scope: the scope is wrong, or not allowed to this client'
    """
    said = _parsed(body)
    if status == 200 and said is not None:
        return _granted(said)
    wait = float(retry_after) if retry_after is not None and _count(retry_after) else None
    if status == 429 or status >= 500:
        return Refused(f"it answered {status} and gave no token", False, wait)
    if said is None:
        what = readable(content_type)[:100] or "no content type"
        return Refused(
            f"it answered {status} with {what} in place of JSON; is its address right?", False
        )
    return _error(status, said)


def _granted(said: dict[str, Any]) -> Granted | Refused:
    token, kind = said.get("access_token"), said.get("token_type", "Bearer")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        return Refused("its answer has no usable access token", False)
    if not isinstance(kind, str) or kind.lower() != "bearer":
        return Refused("its token is no bearer token, the only kind that SMTP knows", True)
    refresh = said.get("refresh_token")
    if not isinstance(refresh, str) or not _TOKEN.fullmatch(refresh):
        refresh = None
    return Granted(token, _seconds(said.get("expires_in")), refresh)


def _error(status: int, said: dict[str, Any]) -> Refused:
    error, told = said.get("error"), said.get("error_description")
    if not isinstance(error, str) or not error:
        return Refused(f"it answered {status} without saying what is wrong", False)
    words = f"{error}: {_ERRORS[error]}" if error in _ERRORS else error
    if isinstance(told, str) and told:
        words += f" ({told})"
    return Refused(readable(words)[:LONGEST_WORDS], error in _ERRORS)


def _parsed(body: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _seconds(given: object) -> int:
    """How long a token is good; some servers write the number as text."""
    text = str(given)
    if isinstance(given, bool) or not _count(text):
        return UNSAID_SECONDS
    return min(max(int(text), SHORTEST_SECONDS), LONGEST_SECONDS)


def _count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10
