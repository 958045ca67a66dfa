"""What an account at EuroSMS may be set to; each refusal says why."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from worker.core.content import refuse_unsafe, shown
from worker.eurosms import BASE_URL
from worker.registers import RegisterError
from worker.registers.accounts import check_ca_file, check_ranges
from worker.registers.companies import check_zone
from worker.registers.naming import check_name

DIGESTS = ("sha1", "sha256")

RANGES: dict[str, tuple[float, float, str]] = {
    "connect_timeout": (0.1, 60, "seconds"),
    "answer_timeout": (0.1, 200, "seconds"),
    "poll_seconds": (1, 3_600, "seconds"),
    "most_connections": (1, 1_000, "requests at once"),
    "hourly_limit": (1, 1_000_000, "segments"),
    "price": (0, 1_000, "EUR"),
}
"""Least and most of each number.

A POST that begins as late as it may must have ended before its permit begins to age: connecting
and the handshake of TLS, then the answer's beginning and its end, take a time-out each.
"""

_INTEGRATION_ID = re.compile(r"[0-9]-[0-9A-Za-z]{6}")


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of an account at EuroSMS, each in the form in which it is kept.

    Raises:
        RegisterError: a value breaks a rule; it names the value.
        ContentError: a text holds a control character.
    """
    check_ranges(values, RANGES)
    check_ca_file(values.get("ca_file"))
    return {name: RULES[name](value) if name in RULES else value for name, value in values.items()}


def check_integration_id(text: str) -> str:
    """An integration ID, without blanks around it.

    Raises:
        RegisterError: it does not look like one.

    >>> check_integration_id(" 1-Ab12cD ")
    '1-Ab12cD'
    """
    if not _INTEGRATION_ID.fullmatch(text.strip()):
        raise RegisterError(
            f"{shown(text)} is no integration ID",
            "it looks like 1-Ab12cD: a digit, a hyphen and six letters or digits; EuroSMS shows it "
            "in its customer portal, and it is not the name you log in there with",
        )
    return text.strip()


def check_key(text: str) -> str:
    """An integration key, whatever its length.

    Raises:
        RegisterError: it is blank, or has blanks around it. The key itself is not in the words.
    """
    refuse_unsafe(text, "integration key")
    if not text.strip():
        raise RegisterError("the integration key is empty", "copy it from EuroSMS's portal")
    if text != text.strip():
        raise RegisterError("the integration key has a blank at an end", "copy it without")
    return text


def check_base_url(text: str) -> str:
    """Scheme and host of a gateway.

    Raises:
        RegisterError: it is something else, or would send keys' signatures in the clear.

    >>> check_base_url("https://AS.eurosms.com/"), check_base_url("http://127.0.0.1:8080")
    ('https://as.eurosms.com', 'http://127.0.0.1:8080')
    """
    refuse_unsafe(text, "base URL")
    try:
        parts = urlsplit(text.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    place = parts.netloc.lower()
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in place
    if not host or " " in place or more or parts.scheme not in ("https", "http"):
        raise RegisterError(
            f"{shown(text)} is no base URL", f"give scheme and host alone, as {BASE_URL}"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise RegisterError(
            f"{shown(text)} would send texts and numbers in the clear",
            "begin it with https://; http:// is for an emulator on this host",
        )
    return f"{parts.scheme}://{place}"


def is_loopback(host: str) -> bool:
    """Whether what is sent there stays on this host.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("10.0.0.1")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_networks(networks: Sequence[str] | None) -> list[str] | None:
    """Networks in their usual form; None for none, which means any.

    Raises:
        RegisterError: one is none.

    >>> check_networks(["192.0.2.7", "2001:db8::/32"])
    ['192.0.2.7/32', '2001:db8::/32']
    """
    found = []
    for text in networks or ():
        try:
            found.append(str(ipaddress.ip_network(text.strip())))
        except ValueError as error:
            raise RegisterError(
                f"{shown(text)} is no network: {error}", "write it as 192.0.2.7 or 192.0.2.0/24"
            ) from None
    return found or None


def _check_digest(text: str) -> str:
    if text not in DIGESTS:
        raise RegisterError(f"digest is {shown(text)}", f"it must be one of {', '.join(DIGESTS)}")
    return text


RULES: dict[str, Callable[[Any], Any]] = {
    "name": lambda name: check_name(name, "account at EuroSMS"),
    "integration_id": check_integration_id,
    "key": check_key,
    "base_url": check_base_url,
    "time_zone": check_zone,
    "digest": _check_digest,
    "push_from": check_networks,
}
