"""What the handlers work with, and how they come by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine
from starlette.requests import Request

from settings import Settings
from worker import db
from worker.api.ingress import Ingress

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

    @property
    def message_octets(self) -> int:
        """The most that one message may take as JSON: its files are in base64."""
        return self.settings.message_bytes * 4 // 3 + JSON_ROOM

    @contextmanager
    def transaction(self, who: str) -> Iterator[Connection]:
        """One transaction, signed in the audit log."""
        with db.transaction(self.engine, who=who) as connection:
            yield connection


def desk(request: Request) -> Desk:
    """The desk of the application that answers; a dependency of its handlers."""
    found: Desk = request.app.state.desk
    return found
