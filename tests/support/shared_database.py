"""One database for a module of tests that each roll back what they did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from tests.support.services import Services
from worker import db


@contextmanager
def shared_engine(services: Services) -> Iterator[Engine]:
    """An engine on a migrated database, which is dropped at the end."""
    url = services.fresh_database()
    engine = db.make_engine(url, name="tests")
    try:
        yield engine
    finally:
        engine.dispose()
        services.drop_database(url)


@contextmanager
def rolled_back(engine: Engine, who: str) -> Iterator[Connection]:
    """A transaction signed by `who`, of which nothing stays; no other sees what is in it."""
    with engine.connect() as connection:
        connection.execute(text("SELECT set_config('kadencia.who', :who, true)"), {"who": who})
        yield connection
        connection.rollback()
