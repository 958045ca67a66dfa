"""From a webhook's host to the addresses that may be connected to."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection

from worker.core.webhook_addresses import Address, Network, Target, refusal

ADDRESSES_MOST = 3
"""Chosen: a host whose first three addresses do not answer is away."""


class Unreachable(Exception):
    """Nobody may, or can, be connected to; the text says why, without the URL."""


def addresses(target: Target, allowed: Collection[Network]) -> list[Address]:
    """Where to connect to, in the resolver's order.

    Asked once: what was checked is what is connected to, whatever the name leads to a moment
    later (DNS rebinding).

    Raises:
        Unreachable: the name leads nowhere, or to an address that is refused. One such among
            several is enough: who names it means it.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable("its name leads nowhere") from None
    given = [_address(str(sockaddr[0])) for *_, sockaddr in found]
    for address in given:
        why = refusal(target, address, allowed)
        if why is not None:
            raise Unreachable(f"refused: it {why}")
    return given[:ADDRESSES_MOST]


def _address(text: str) -> Address:
    """Raises Unreachable for an address that is bound to an interface of ours."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise Unreachable("refused: it leads to no address") from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise Unreachable("refused: it leads to link-local")
    return address
