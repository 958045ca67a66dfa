"""What the doctor finds, and what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import redis
from sqlalchemy import Connection, Engine

from settings import Settings
from worker.throttle import Throttle
from worker.vault import Vault


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Mail goes out, but a person should look."""
    FAULT = "fault"
    """Mail does not go out as it should."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        name: of what was checked.
        level: how bad it is.
        what: was found, in one sentence.
        mend: what helps; "" where nothing needs help.
    """

    name: str
    level: Level
    what: str
    mend: str = ""


def ok(name: str, what: str) -> Finding:
    """All is well."""
    return Finding(name, Level.OK, what)


def warning(name: str, what: str, mend: str) -> Finding:
    """A person should look."""
    return Finding(name, Level.WARNING, what, mend)


def fault(name: str, what: str, mend: str) -> Finding:
    """It must be mended."""
    return Finding(name, Level.FAULT, what, mend)


@dataclass(frozen=True, slots=True)
class Installation:
    """What is looked at.

    Attributes:
        settings: of this host.
        engine: on the database.
        redis: a client.
        throttle: on the same Redis.
        vault: the keys of this host.
        smtp: whether each account is tried: SMTP with a real log-in, EuroSMS with a dry run.
    """

    settings: Settings
    engine: Engine = field(repr=False)
    redis: redis.Redis = field(repr=False)
    throttle: Throttle = field(repr=False)
    vault: Vault = field(repr=False)
    smtp: bool = True


Check = Callable[[Installation, Connection], Iterator[Finding]]
"""Looks at one thing, with a connection to a database whose schema is this version's."""
