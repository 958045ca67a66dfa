"""What the handlers work with, and how they come by it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine
from starlette.requests import Request

from settings import Settings
from worker import db
from worker.api.ingress import Ingress

LARGE_OCTETS = 1_000_000
"""Chosen: a body from which on it matters how many are in memory at once."""
JSON_ROOM = 256 * 1024
"""Chosen: octets of a message's JSON beside its texts and files."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The product's database, settings and limits, for one process of the API.

    Attributes:
        older_revisions: schemas with which this version cannot work.
    """

    engine: Engine = field(repr=False)
    settings: Settings = field(repr=False)
    ingress: Ingress = field(repr=False)
    older_revisions: frozenset[str] = field(
        repr=False, default_factory=lambda: frozenset(db.revisions()[1:])
    )

    _large: threading.Lock = field(repr=False, default_factory=threading.Lock)

    @property
    def message_octets(self) -> int:
        """The most that one message may take as JSON: its files are in base64."""
        return self.settings.message_bytes * 4 // 3 + JSON_ROOM

    @contextmanager
    def transaction(self, who: str, octets: int = 0) -> Iterator[Connection]:
        """One transaction, signed in the audit log.

        Of large ones there is one at a time, and its connection is closed after it: the driver
        holds what it sends several times over, and never gives its buffer back.

        Args:
            who: for the audit log.
            octets: about how many will be stored.
        """
        large = octets > LARGE_OCTETS
        with (
            self._large if large else nullcontext(),
            db.transaction(self.engine, who=who) as connection,
        ):
            if large:
                connection.detach()
            yield connection


def desk(request: Request) -> Desk:
    """The desk of the application that answers; a dependency of its handlers."""
    found: Desk = request.app.state.desk
    return found
