"""What lets workers of the last release run beside those of this one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import Engine, text

import models
from settings import names
from tests.support import previous_release
from tests.support.services import Services
from worker import db

VERSIONS = Path(models.__file__).parent / "migrations" / "versions"

COLUMNS = text("""
    SELECT table_name || '.' || column_name, data_type, is_nullable = 'NO' AS needed,
        column_default IS NOT NULL OR is_identity = 'YES' AS has_default
    FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name <> 'alembic_version'
""")

# Of a constraint, the columns that it is about; of a check of none, as of the whole row, none.
CONSTRAINTS = text("""
    SELECT c.conrelid::regclass || ' ' || c.conname, pg_get_constraintdef(c.oid),
        ARRAY(SELECT c.conrelid::regclass || '.' || a.attname FROM pg_attribute a
              WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)) AS columns
    FROM pg_constraint c WHERE c.connamespace = 'public'::regnamespace
      AND c.conrelid <> 0
""")


@pytest.fixture(scope="module")
def release() -> str:
    return previous_release.previous_release()


@pytest.fixture(scope="module")
def released(release) -> dict[str, str]:
    """The migrations of the last release: name of the file → its text."""
    return {
        name: found
        for name, found in previous_release.files(release, "models/migrations/versions").items()
        if name.endswith(".py")
    }


@pytest.fixture(scope="module")
def before(services: Services, released) -> Iterator[Engine]:
    """A database with the schema of the last release."""
    url = services.empty_database()
    engine = db.make_engine(url, name="tests")
    db.migrate(engine, max(released)[:4])
    yield engine
    engine.dispose()
    services.drop_database(url)


def columns(engine):
    with engine.connect() as connection:
        return {row[0]: row[1:] for row in connection.execute(COLUMNS)}


def constraints(engine):
    with engine.connect() as connection:
        return {row[0]: row[1:] for row in connection.execute(CONSTRAINTS)}


def test_a_released_migration_is_never_edited(released):
    assert {name: (VERSIONS / name).read_text() for name in released} == released


def test_a_worker_of_the_last_release_finds_all_its_columns_and_need_fill_no_new_one(
    before, engine
):
    old, new = columns(before), columns(engine)

    tables = {name.partition(".")[0] for name in old}
    assert {name: new.get(name, ())[:1] for name in old} == {n: one[:1] for n, one in old.items()}
    tightened = [n for n, (_, needed, _) in old.items() if new[n][1] and not needed]
    assert tightened == []
    unfilled = [
        name
        for name, (_, needed, has_default) in new.items()
        if name not in old and name.partition(".")[0] in tables and needed and not has_default
    ]
    assert unfilled == []


def test_no_new_constraint_forbids_what_the_last_release_writes(before, engine):
    old, new = constraints(before), constraints(engine)
    known = columns(before)

    stricter = [
        name
        for name, (definition, of) in new.items()
        if old.get(name, ("",))[0] != definition and of and all(one in known for one in of)
    ]

    assert stricter == []


def test_a_task_that_the_last_release_does_not_know_goes_to_a_queue_that_it_does_not_empty(
    release,
):
    last = ModuleType("names")
    exec(previous_release.file(release, "settings/names.py"), last.__dict__)
    known = {task.value for task in last.Task}
    emptied = {value for name, value in vars(last).items() if name.endswith("_QUEUE")}

    thrown_away = [
        task.value
        for task, route in names.ROUTES.items()
        if task not in known and route["queue"] in emptied
    ]

    assert thrown_away == []


def test_the_file_for_clones_without_tags_names_the_commit_of_its_tag():
    name, commit = previous_release.named()

    assert previous_release.commit_of(name) in (commit, None)
