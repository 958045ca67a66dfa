"""What the handlers work with, and how they come by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine
from starlette.requests import Request

from settings import Settings
from worker import db


@dataclass(frozen=True, slots=True)
class Desk:
    """The product's database and settings, for one process of the API."""

    engine: Engine = field(repr=False)
    settings: Settings = field(repr=False)

    @contextmanager
    def transaction(self, who: str) -> Iterator[Connection]:
        """One transaction, signed in the audit log."""
        with db.transaction(self.engine, who=who) as connection:
            yield connection


def desk(request: Request) -> Desk:
    """The desk of the application that answers; a dependency of its handlers."""
    found: Desk = request.app.state.desk
    return found
