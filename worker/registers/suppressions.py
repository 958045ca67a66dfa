"""Addresses that must not be written to, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, delete, select
from sqlalchemy.dialects.postgresql import insert

from models.outbox import Suppression
from worker.core.addresses import AddressError, parse_address
from worker.core.content import refuse_unsafe, shown
from worker.registers import RegisterError, audit

CHUNK = 1_000  # chosen: rows to a statement


def suppress(
    connection: Connection, company: Row[Any], addresses: Iterable[str], why: str
) -> tuple[int, int]:
    """Bar addresses; those that are barred already keep their reason.

    Args:
        connection: the caller's transaction.
        company: the row of the company that must not write to them.
        addresses: as `read_addresses` or `parse_address` gave their keys.
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
    """Let an address be written to again.

    Raises:
        RegisterError: it is not suppressed.
        AddressError: it is no address.
    """
    key = parse_address(address).suppression_key
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


def read_addresses(lines: Iterable[str], source: str) -> Iterator[str]:
    """The suppression keys in a file with one address a line; blank lines and # are passed over.

    Raises:
        RegisterError: a line is no address; it names the line.

    >>> list(read_addresses(["# odhlásení", "", "Anna@Firma.example"], "ban.txt"))
    ['anna@firma.example']
    """
    for number, line in enumerate(lines, start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        try:
            yield parse_address(entry).suppression_key
        except AddressError as error:
            raise RegisterError(
                f"{source}, line {number}: {error.where} {error.what}",
                f"{error.mend}; nothing was added",
            ) from None
