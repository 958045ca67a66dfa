"""Where a webhook may lead: its URL, and the address that its host's name turned out to have.

Who registers a webhook has us connect to an address of their choice. What is refused here keeps
them out of our own networks (server-side request forgery).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import idna

from worker.core.content import ContentError, refuse_unsafe

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS = (443, 8443)
"""Chosen: where HTTPS is usual. In networks that an administrator allows, any port goes."""
URL_CHARACTERS_MAX = 2_000  # chosen: what every server takes
PORT_OF = {"https": 443, "http": 80}

WHERE = "url"
"""What errors call it."""

_NUMERIC = re.compile(r"(?:[0-9]+|0[xX][0-9a-fA-F]*)")
"""A last label that makes a host a number to some resolvers (WHATWG URL, section 3.5)."""
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")

REFUSED: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this host"),
    ("10.0.0.0/8", "a private network"),
    ("100.64.0.0/10", "a provider's inner network"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "a cloud's metadata"),
    ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
    ("172.16.0.0/12", "a private network"),
    ("192.0.0.0/24", "reserved for protocols"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4"),
    ("192.168.0.0/16", "a private network"),
    ("198.18.0.0/15", "tests of networks"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "this host"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "an IPv4 address in IPv6 form"),
    ("64:ff9b::/96", "an IPv4 address behind NAT64"),
    ("64:ff9b:1::/48", "an IPv4 address behind NAT64"),
    ("2001::/32", "an IPv4 address behind Teredo"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "an IPv4 address behind 6to4"),
    ("fc00::/7", "a private network (unique-local)"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
)
"""Networks that no webhook of the public leads to, and what they are.

Source:
    IANA's registries of special-purpose addresses (RFC 6890), RFC 6052, RFC 4380; Azure's
    168.63.129.16 is a public address that only its own machines can reach.
"""

_REFUSED = tuple((ipaddress.ip_network(network), what) for network, what in REFUSED)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL names.

    Attributes:
        scheme: "https" or "http".
        host: in lower case, A-labels, without a final dot; an IPv6 address without brackets.
        port: the scheme's, if none is given.
        path: with the query; at least "/".
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the header Host says (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORT_OF[self.scheme] else f"{host}:{self.port}"


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks from a list with commas.

    Raises:
        ValueError: one is none.

    >>> parse_networks("10.8.0.0/16, fd00::/8")
    (IPv4Network('10.8.0.0/16'), IPv6Network('fd00::/8'))
    """
    return tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip())


def read_url(url: str, allowed: Collection[Network]) -> Target:
    """What a URL names, if a webhook may lead there as far as can be told without a resolver.

    Args:
        url: as it was given.
        allowed: networks that an administrator allows. Where there are none, `http`, unusual
            ports and literal addresses that `refusal` refuses are refused here already.

    Raises:
        ContentError: it may not.

    >>> read_url("https://Prijem.Firma.example/stav?x=1", [])
    Target(scheme='https', host='prijem.firma.example', port=443, path='/stav?x=1')
    """
    refuse_unsafe(url, WHERE)
    if len(url) > URL_CHARACTERS_MAX:
        raise ContentError(f"has over {URL_CHARACTERS_MAX} characters", WHERE, "shorten it")
    parts, port = _split(url)
    target = Target(
        parts.scheme,
        _host(parts.hostname or ""),
        port,
        (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )
    address = literal(target.host)
    if address is not None:
        why = refusal(target, address, allowed)
    else:
        why = None if allowed else _of_the_public(target)
    if why:
        raise ContentError(why, WHERE, "name a public https address")
    return target


def _split(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ContentError("is no URL", WHERE, "write https://host/path") from None
    if parts.scheme not in PORT_OF or not parts.netloc:
        raise ContentError("is no web address", WHERE, "write https://host/path")
    if "@" in parts.netloc:
        raise ContentError("holds a user's name or password", WHERE, "leave them out")
    if "\\" in url or " " in url:
        raise ContentError("has a backslash or a space", WHERE, "remove it")
    if "#" in url:
        raise ContentError("has a part after #, which is never sent", WHERE, "leave it out")
    if port == 0:
        raise ContentError("has port 0", WHERE, "name another")
    return parts, PORT_OF[parts.scheme] if port is None else port


def _host(host: str) -> str:
    """One form for each host: what looks like a number to a resolver must be an address."""
    if literal(host) is not None:
        return host
    name = host.removesuffix(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError:
            raise ContentError("has no host's name that DNS knows", WHERE, "correct it") from None
    if literal(name) is not None:
        return name
    if not _NAME.fullmatch(name) or len(name) > 253:
        raise ContentError("has no host's name that DNS knows", WHERE, "correct it")
    if _NUMERIC.fullmatch(name.rpartition(".")[2]):
        raise ContentError("has a number for a host", WHERE, "write an address as 192.0.2.7")
    return name


def literal(host: str) -> Address | None:
    """The address that a host is; None for a name.

    >>> literal("192.0.2.7"), literal("0177.0.0.1"), literal("fe80::1%eth0")
    (IPv4Address('192.0.2.7'), None, None)
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return None if "%" in host else address


def refusal(target: Target, address: Address, allowed: Collection[Network]) -> str | None:
    """Why a webhook must not be sent to this address; None if it may.

    Args:
        target: what its URL names.
        address: what is to be connected to, as the resolver gave it.
        allowed: networks that an administrator allows: with http as well, and at any port.

    >>> refusal(Target("https", "a.example", 443, "/"), ipaddress.ip_address("10.0.0.1"), [])
    'leads to a private network'
    """
    if any(address in network for network in allowed):
        return None
    for network, what in _REFUSED:
        if address in network:
            return f"leads to {what}"
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return "leads to a reserved address"
    if not address.is_global:
        return "leads to a reserved address"
    return _of_the_public(target)


def _of_the_public(target: Target) -> str | None:
    """Why nobody outside the allowed networks is told in this way."""
    if target.scheme != "https":
        return "is not https"
    if target.port not in PORTS:
        return f"names port {target.port}, not {' or '.join(map(str, PORTS))}"
    return None
