"""Looks at everything that mail needs to go out, and says how to mend what fails."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError

from worker.doctor import brokers, fleet, gateways, sending, servers
from worker.doctor.findings import Check, Finding, Installation, Level, fault

__all__ = ["Finding", "Installation", "Level", "examine"]

CHECKS: tuple[Check, ...] = (
    sending.standstill,
    servers.durability,
    servers.clocks,
    servers.permits,
    fleet.processes,
    fleet.tasks,
    fleet.queues,
    sending.keys,
    sending.smtp,
    gateways.accounts,
    gateways.reports,
    sending.unknown,
    sending.open_alarms,
    sending.stranded,
    sending.disk,
)


def examine(installation: Installation) -> Iterator[Finding]:
    """Check everything, one thing after the other; nothing is changed.

    What needs a database with this version's schema is left out if there is none.
    """
    found = list(servers.database(installation))
    yield from found
    yield from servers.broker(installation)
    yield from brokers.carriers(installation)
    yield from brokers.certificates(installation)
    if any(one.level is Level.FAULT for one in found):
        return
    for check in CHECKS:
        try:
            with installation.engine.connect() as connection:
                yield from list(check(installation, connection))
        except SQLAlchemyError as error:
            name = check.__name__.replace("_", " ")
            yield fault(name, f"PostgreSQL failed ({type(error).__name__})", "look at its log")
