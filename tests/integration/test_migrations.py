"""The migrations make what the models say."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text

import models
from tests.support.services import Services
from worker import db

CATALOGUE = {
    "functions": """
        SELECT pg_get_functiondef(p.oid) FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('public', 'kadencia')""",
    "triggers": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "constraints": """
        SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        AND conrelid <> coalesce(to_regclass('alembic_version'), 0)""",
    "indexes": """
        SELECT indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'""",
    "columns": """
        SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default)
        FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name <> 'alembic_version'""",
    "types": """
        SELECT typname FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')""",
    "first rows": "SELECT id::text FROM installation",
}


@pytest.fixture
def empty(services: Services) -> Iterator[Engine]:
    """An engine on a database without tables."""
    url = services.empty_database()
    engine = db.make_engine(url, name="tests")
    yield engine
    engine.dispose()
    services.drop_database(url)


def listing(engine: Engine, query: str) -> list[str]:
    with engine.connect() as connection:
        return sorted(connection.execute(text(query)).scalars())


def test_the_migrated_schema_equals_the_models(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, models.metadata) == []


@pytest.mark.parametrize("what", CATALOGUE)
def test_migrations_and_models_make_the_same(what, engine, empty):
    with empty.begin() as connection:
        models.metadata.create_all(connection)

    assert listing(engine, CATALOGUE[what]) == listing(empty, CATALOGUE[what])


def test_migrations_go_up_and_down_and_up_again(empty):
    newest = db.newest_revision()

    assert db.migrate(empty) == newest
    first = {what: listing(empty, query) for what, query in CATALOGUE.items()}
    assert db.migrate(empty, "base") == ""
    for what in ("functions", "triggers", "constraints", "indexes", "columns", "types"):
        assert listing(empty, CATALOGUE[what]) == []
    assert db.migrate(empty) == newest

    assert {what: listing(empty, query) for what, query in CATALOGUE.items()} == first


def test_a_schema_that_is_new_enough_is_left_alone(engine):
    assert db.migrate(engine) == db.newest_revision()


def test_two_that_migrate_at_once_take_turns(empty):
    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(db.migrate, [empty, empty])) == {db.newest_revision()}
