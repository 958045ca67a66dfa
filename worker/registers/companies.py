"""Companies and their establishments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, select

from models.organisation import Company, Establishment
from worker.core.addresses import AddressError, ascii_domain
from worker.core.content import shown
from worker.core.phone_numbers import check_country
from worker.registers import RegisterError, audit, waking
from worker.registers.naming import check_name, refuse_taken

DEFAULT_ZONE = "Europe/Bratislava"
DEFAULT_COUNTRY = "SK"


def add_company(
    connection: Connection,
    name: str,
    domain: str,
    time_zone: str = DEFAULT_ZONE,
    country: str = DEFAULT_COUNTRY,
) -> int:
    """Make a company.

    Args:
        connection: the caller's transaction.
        name: unique in the installation.
        domain: the right-hand side of its Message-IDs; may have accents, is kept in A-labels.
        time_zone: of the IANA database, as in "Europe/Bratislava".
        country: two letters; of telephone numbers that are written without a calling code.

    Returns:
        Its id.

    Raises:
        RegisterError: the name is taken, the domain is none, or there is no such time zone.
        ContentError: there is no such country.
    """
    given = {"name": name, "domain": domain, "time_zone": time_zone, "country": country}
    values = checked(given)
    refuse_taken(connection, Company, values["name"])
    return audit.add(connection, Company, "company", values)


def set_company(connection: Connection, company: Row[Any], **values: Any) -> dict[str, Any]:
    """Change name, domain, time zone or country; returns what differs.

    Plans are in the company's time zone, so a changed one wakes its automatic tasks.

    Raises:
        RegisterError, ContentError: as `add_company`.
    """
    new = checked(values)
    if new.get("name", company.name) != company.name:
        refuse_taken(connection, Company, new["name"])
    changed = audit.change(connection, Company, "company", company.id, new) if new else {}
    if "time_zone" in changed:
        waking.wake(connection, company_id=company.id)
    return changed


def companies(connection: Connection) -> list[dict[str, Any]]:
    """All companies, by name."""
    found = connection.execute(select(Company.__table__).order_by(Company.name))
    return [dict(row._mapping) for row in found]


def common_zone(connection: Connection) -> ZoneInfo:
    """The zone for what concerns all companies: theirs if they share one, else UTC."""
    zones = list(connection.execute(select(Company.time_zone).distinct().limit(2)).scalars())
    return ZoneInfo(zones[0] if len(zones) == 1 else "UTC")


def add_establishment(connection: Connection, company: Row[Any], name: str) -> int:
    """Make an establishment; returns its id.

    Raises:
        RegisterError: the company has one of that name.
    """
    name = check_name(name, "establishment")
    refuse_taken(connection, Establishment, name, company.id)
    values = {"company_id": company.id, "name": name}
    return audit.add(connection, Establishment, "establishment", values)


def establishments(connection: Connection, company_id: int) -> list[dict[str, Any]]:
    """A company's establishments, by name."""
    found = connection.execute(
        select(Establishment.__table__)
        .where(Establishment.company_id == company_id)
        .order_by(Establishment.name)
    )
    return [dict(row._mapping) for row in found]


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """A company's columns, each in the form in which it is kept.

    Raises:
        RegisterError: the name is blank, the domain is none, or there is no such time zone.
        ContentError: there is no such country.

    >>> checked({"domain": "Kôň.example", "time_zone": "Europe/Prague"})
    {'domain': 'xn--k-xga6w.example', 'time_zone': 'Europe/Prague'}
    """
    rules = {
        "name": lambda name: check_name(name, "company"),
        "domain": check_domain,
        "time_zone": check_zone,
        "country": check_country,
    }
    return {name: rules[name](value) for name, value in values.items()}


def check_domain(text: str) -> str:
    """A domain name in A-labels.

    Raises:
        RegisterError: it is none.
    """
    try:
        return ascii_domain(text)
    except AddressError as error:
        raise RegisterError(
            f"{shown(text)} is no domain: {error.what}", "give one such as firma.example"
        ) from None


def check_zone(name: str) -> str:
    """The name of a time zone.

    Raises:
        RegisterError: there is none of that name.
    """
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, LookupError):  # by turns, for a path, a directory, a wrong name
        raise RegisterError(
            f"{shown(name)} is no time zone",
            f"give one of the IANA database, such as {DEFAULT_ZONE}",
        ) from None
