"""Logging in to an SMTP server (RFC 4954): which mechanism, and what is said in it."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Sequence

from worker.core.replies import readable

IN_PRIVATE = ("PLAIN", "LOGIN", "CRAM-MD5")
"""Where nobody listens in and the server is known, what works everywhere comes first: CRAM-MD5
would hide the password from those who cannot see it, and asks the server to keep it readable."""

OVERHEARD = ("CRAM-MD5", "PLAIN", "LOGIN")
"""And elsewhere, what does not show the password."""

WITH_TOKEN = ("XOAUTH2", "OAUTHBEARER")
"""Microsoft knows only the first, Google both."""

LONGEST_CHALLENGE = 4096
"""Octets. Chosen: RFC 4954 section 4 allows 12,288 for all, and no server sends a tenth."""


def choose(offered: Sequence[str], wanted: str | None, *, token: bool, private: bool) -> str | None:
    """The mechanism to log in by; None if none will do.

    Args:
        offered: by the server, in capitals.
        wanted: the only one that the account takes; None for the best that is offered.
        token: whether there is an access token, and not a password.
        private: whether the connection is encrypted and the server's certificate was checked.

    >>> choose(["LOGIN", "CRAM-MD5"], None, token=False, private=False)
    'CRAM-MD5'
    """
    known = known_to(token=token, private=private)
    if wanted is not None:
        known = tuple(one for one in known if one == wanted.upper())
    return next((one for one in known if one in offered), None)


def known_to(*, token: bool, private: bool) -> tuple[str, ...]:
    """The mechanisms for a password or a token, best first."""
    if token:
        return WITH_TOKEN
    return IN_PRIVATE if private else OVERHEARD


def plain(username: str, password: str) -> str:
    """The initial response of PLAIN (RFC 4616)."""
    return encoded(f"\0{username}\0{password}")


def xoauth2(username: str, token: str) -> str:
    r"""The initial response of XOAUTH2, as Google and Microsoft describe it.

    >>> base64.b64decode(xoauth2("jana@firma.example", "abc"))
    b'user=jana@firma.example\x01auth=Bearer abc\x01\x01'
    """
    return encoded(f"user={username}\x01auth=Bearer {token}\x01\x01")


def oauthbearer(username: str, host: str, port: int, token: str) -> str:
    r"""The initial response of OAUTHBEARER (RFC 7628 section 3.1).

    >>> base64.b64decode(oauthbearer("a,b=c", "smtp.firma.example", 587, "abc"))
    b'n,a=a=2Cb=3Dc,\x01host=smtp.firma.example\x01port=587\x01auth=Bearer abc\x01\x01'
    """
    name = username.replace("=", "=3D").replace(",", "=2C")  # saslname, RFC 5801 section 4
    return encoded(f"n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01")


def cram_md5(username: str, password: str, challenge: str) -> str:
    """The response of CRAM-MD5 (RFC 2195) to a challenge, both as they go over the wire.

    Raises:
        ValueError: the challenge is no base64.

    >>> challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"
    >>> cram_md5("tim", "tanstaaftanstaaf", challenge)
    'dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw'
    """
    digest = hmac.new(password.encode(), decoded(challenge), "md5")
    return encoded(f"{username} {digest.hexdigest()}")


def refusal(challenge: str) -> str:
    """What the error of a token's refusal says, for people; "" if it says nothing.

    Args:
        challenge: JSON in base64, as XOAUTH2 and OAUTHBEARER have it (RFC 7628 section 3.2.2).

    >>> refusal(encoded('{"status": "401", "schemes": "bearer", "scope": "https://mail/"}'))
    'status 401, scope https://mail/'
    """
    try:
        said = json.loads(decoded(challenge))
    except (ValueError, RecursionError):
        return ""
    if not isinstance(said, dict):
        return ""
    parts = [f"{name} {said[name]}" for name in ("status", "scope") if said.get(name)]
    return readable(", ".join(parts))


def encoded(text: str) -> str:
    """Base64 of UTF-8, on one line."""
    return base64.b64encode(text.encode()).decode()


def decoded(text: str) -> bytes:
    """The octets of base64.

    Raises:
        ValueError: it is none, or too long.
    """
    if len(text) > LONGEST_CHALLENGE:
        raise ValueError("the challenge is too long")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        raise ValueError("the challenge is not in base64") from None
