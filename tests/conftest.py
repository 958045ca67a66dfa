"""Fixtures for all tests: real servers on loopback, started when the first test asks for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.support.services import Services, running_services
from worker import db


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """The session's PostgreSQL and Valkey."""
    with running_services() as running:
        yield running


@pytest.fixture
def database_url(services: Services) -> Iterator[str]:
    """A migrated database of the test's own."""
    url = services.fresh_database()
    yield url
    services.drop_database(url)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on the test's own database."""
    engine = db.make_engine(database_url, name="tests", pool_size=5)
    yield engine
    engine.dispose()


@pytest.fixture
def redis_url(services: Services) -> str:
    """The session's Valkey, emptied."""
    services.flush_valkey()
    return services.valkey_url()
