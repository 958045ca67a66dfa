"""Addresses and numbers that must not be written to, and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, delete, select
from sqlalchemy.dialects.postgresql import insert

from models.outbox import Suppression
from worker.core.addresses import parse_address
from worker.core.content import ContentError, refuse_unsafe, shown
from worker.core.phone_numbers import parse_number
from worker.registers import RegisterError, audit

CHUNK = 1_000  # chosen: rows to a statement

_NUMBER = re.compile(r"[+(]?\s*[0-9][^@]*$")
"""What is meant as a number: no @-sign, and a digit first."""


def suppress(
    connection: Connection, company: Row[Any], addresses: Iterable[str], why: str
) -> tuple[int, int]:
    """Bar addresses; those that are barred already keep their reason.

    Args:
        connection: the caller's transaction.
        company: the row of the company that must not write to them.
        addresses: as `read_addresses` or `key_of` gave their keys.
        why: shown with each message that is not sent because of it.

    Returns:
        How many were added, and how many were there already.

    Raises:
        RegisterError: no reason is given.
    """
    refuse_unsafe(why, "reason")
    if not why.strip():
        raise RegisterError("a suppression needs its reason", "say it with --why")
    keys, added, given = iter(addresses), 0, 0
    while chunk := sorted(set(islice(keys, CHUNK))):
        rows = [{"company_id": company.id, "address": key, "why": why} for key in chunk]
        new = connection.execute(
            insert(Suppression).values(rows).on_conflict_do_nothing().returning(Suppression.address)
        )
        names = list(new.scalars())
        added += len(names)
        given += len(chunk)
        if names:
            after = {"addresses": sorted(names), "why": why}
            audit.record(connection, "suppress", f"company:{company.id}", after=after)
    return added, given - added


def unsuppress(connection: Connection, company: Row[Any], address: str) -> None:
    """Let an address or a number be written to again.

    Raises:
        RegisterError: it is not suppressed.
        ContentError: it is neither.
    """
    key = key_of(address.strip(), company.country)
    gone = connection.execute(
        delete(Suppression)
        .where(Suppression.company_id == company.id, Suppression.address == key)
        .returning(Suppression.why)
    ).scalar_one_or_none()
    if gone is None:
        raise RegisterError(
            f"{shown(key)} is not suppressed", "see `kadencia suppression list` for those that are"
        )
    before = {"addresses": [key], "why": gone}
    audit.record(connection, "unsuppress", f"company:{company.id}", before=before)


def suppressions(
    connection: Connection, company_id: int, most: int, containing: str = ""
) -> list[dict[str, Any]]:
    """Up to `most` suppressed addresses, in order, that contain a text."""
    query = (
        select(Suppression.address, Suppression.why, Suppression.created_at)
        .where(Suppression.company_id == company_id)
        .order_by(Suppression.address)
        .limit(most)
    )
    if containing:
        query = query.where(Suppression.address.contains(containing.lower(), autoescape=True))
    return [dict(row._mapping) for row in connection.execute(query)]


def read_addresses(lines: Iterable[str], source: str, country: str) -> Iterator[str]:
    """The suppression keys in a file with one address or number a line.

    Blank lines and those that begin with # are passed over.

    Args:
        lines: of the file.
        source: what errors call it.
        country: of numbers without a calling code.

    Raises:
        RegisterError: a line is neither; it names the line.

    >>> list(read_addresses(["# odhlásení", "", "Anna@Firma.example"], "ban.txt", "SK"))
    ['anna@firma.example']
    >>> list(read_addresses(["0903 622 237"], "ban.txt", "SK"))
    ['+421903622237']
    """
    for number, line in enumerate(lines, start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        try:
            yield key_of(entry, country)
        except ContentError as error:
            raise RegisterError(
                f"{source}, line {number}: {error.where} {error.what}",
                f"{error.mend}; nothing was added",
            ) from None


def key_of(entry: str, country: str) -> str:
    """What an address or a number is suppressed under.

    Raises:
        ContentError: it is neither.
    """
    if _NUMBER.match(entry):
        return parse_number(entry, country).e164
    return parse_address(entry).suppression_key
