"""What the gateway pushes, in any of its forms, as one mapping; and who may push it."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from worker.core.eurosms_json import read_json

_WRAPPED = ("delivery_report", "received")
_NAME = re.compile(r"[0-9A-Za-z:._-]{1,64}")


class Malformed(Exception):
    """A request that is no push; the text says what it lacks, to whoever set the gateway up."""


def contents(query: str, content_type: str, body: bytes) -> Mapping[str, object]:
    """The keys of a push: of the query, a form, a JSON body, or JSON in one of their parameters.

    Args:
        query: of the address, without "?".
        content_type: the header; "" if there is none.
        body: empty with GET.

    Raises:
        Malformed: there are none, or no uuid to confirm.

    >>> contents("sms_uuid=a-1&delivery_result=DELIVRD", "", b"")
    {'sms_uuid': 'a-1', 'delivery_result': 'DELIVRD'}
    >>> contents("", "application/json", b'{"sms_uuid": "a-1"}')
    {'sms_uuid': 'a-1'}
    """
    fields = _of_body(content_type, body) if body.strip() else _of_form(query)
    for name in _WRAPPED:
        if name in fields:
            fields = _object(fields[name], f"the parameter {name}")
            break
    given = fields.get("sms_uuid")
    if not isinstance(given, str) or not _NAME.fullmatch(given):
        raise Malformed("sms_uuid is missing, or no uuid")
    return fields


def secret_digest(secret: str) -> bytes:
    """What is kept of the secret part of the path."""
    return hashlib.sha256(secret.encode()).digest()


def is_from(networks: Iterable[str] | None, address: str | None) -> bool:
    """Whether an address is in one of the networks; without any set, whoever it is.

    >>> is_from(["192.0.2.0/24"], "192.0.2.7"), is_from(["192.0.2.0/24"], "::ffff:192.0.2.7")
    (True, True)
    >>> is_from(["192.0.2.0/24"], "198.51.100.7"), is_from(None, "198.51.100.7")
    (False, True)
    """
    if networks is None:
        return True
    try:
        there = ipaddress.ip_address(address or "")
    except ValueError:  # of a socket in the file system
        return False
    mapped = getattr(there, "ipv4_mapped", None)
    return any((mapped or there) in ipaddress.ip_network(network) for network in networks)


def _of_body(content_type: str, body: bytes) -> Mapping[str, object]:
    if "json" in content_type.lower() or body.lstrip()[:1] == b"{":
        return _object(body, "the body")
    if "multipart" in content_type.lower():
        raise Malformed("multipart is not taken; push a query, a form, or JSON")
    return _of_form(body.decode("utf-8", "replace"))


def _of_form(text: str) -> Mapping[str, object]:
    return dict(parse_qsl(text, keep_blank_values=True))


def _object(value: object, where: str) -> Mapping[str, object]:
    found = value
    if isinstance(value, str | bytes):
        found = read_json(value if isinstance(value, bytes) else value.encode("utf-8", "replace"))
    if not isinstance(found, dict):
        raise Malformed(f"{where} is no JSON object")
    return found
