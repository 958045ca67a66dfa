"""A backup, the way back from it, and that nothing is sent twice after it."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from settings import load
from tests.support.process_table import processes_about
from tests.support.rows import make_attempt, make_message, make_sms, make_sms_task, make_task
from tests.support.services import Services, service_directory
from worker import backup as backups
from worker import db
from worker.backup import BackupError, Place
from worker.embedded.directory import DataDirectory
from worker.outbox import overdue
from worker.vault import Vault

NEXT = text("SELECT nextval(pg_get_serial_sequence(:table, 'id'))")


@pytest.fixture
def directory() -> Iterator[Path]:
    with service_directory() as path:
        yield path


def place(url: str, directory: Path, **variables: str) -> Place:
    return Place(url, load(variables), DataDirectory(directory / "data"))


def ask(url: str, statement: str) -> dict[object, object]:
    """The first two columns, as a mapping."""
    engine = db.make_engine(url, name="tests")
    try:
        with engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(text(statement))}
    finally:
        engine.dispose()


@pytest.fixture
def file(database_url: str, engine, directory: Path) -> Path:
    """A backup of a message in each state."""
    with engine.begin() as connection:
        task = make_task(connection)
        for state in ("ready", "released", "sending", "held", "unknown", "sent", "failed"):
            make_message(connection, task, state=state, subject=state)
        make_message(
            connection, task, subject="half", recipients=["a@firma.example", "b@firma.example"]
        )
        half = "UPDATE recipient SET state = 'sent' WHERE position = 0 AND message_id = " + (
            "(SELECT id FROM message WHERE subject = 'half')"
        )
        connection.execute(text(half))
        make_attempt(connection, task, state="accepted")
        connection.execute(text("UPDATE installation SET generation = 7"))
    source = place(database_url, directory)
    source.data.ensure_keys()
    file = directory / "file.tar"
    backups.backup(source, file)
    return file


def test_after_a_restore_nothing_is_sent_until_a_person_has_looked(
    file, services: Services, directory
):
    target = place(services.empty_database(), directory)

    manifest = backups.restore(target, file, keep=None)

    assert manifest.schema == db.newest_revision()
    assert ask(target.url, "SELECT subject, state FROM message WHERE subject !~ 'Spr'") == {
        "ready": "unknown",
        "released": "unknown",
        "sending": "unknown",
        "held": "held",
        "unknown": "unknown",
        "sent": "sent",
        "failed": "failed",
        "half": "unknown",
    }
    assert ask(target.url, "SELECT state, count(*) FROM attempt GROUP BY 1") == {
        "unknown": 1,
        "accepted": 1,
    }
    assert ask(target.url, "SELECT restored, stopped_at IS NOT NULL FROM installation") == {
        True: True
    }
    services.drop_database(target.url)


def test_after_a_restore_a_recipient_who_was_reached_stays_so(file, services: Services, directory):
    target = place(services.empty_database(), directory)

    backups.restore(target, file, keep=None)

    states = "SELECT r.position, r.state FROM recipient r JOIN message m ON m.id = r.message_id "
    assert ask(target.url, states + "WHERE m.subject = 'half'") == {0: "sent", 1: "unknown"}
    services.drop_database(target.url)


def test_after_a_restore_no_policy_resends_an_sms_that_was_unknown_before(
    database_url, engine, services: Services, directory
):
    with engine.begin() as connection:
        task = make_sms_task(connection, unknown_policy="resend")
        made = make_sms(connection, task, state="unknown", unknowns=1)
        long_ago = datetime.now(UTC) - timedelta(days=2)
        make_attempt(connection, task, made.id, state="unknown", closed_at=long_ago, text="lost")
        polled = {"now": datetime.now(UTC)}
        connection.execute(
            text("""
            INSERT INTO eurosms_poll (base_url, integration_id, polled_at)
            SELECT base_url, integration_id, :now FROM eurosms_account"""),
            polled,
        )
    source = place(database_url, directory)
    source.data.ensure_keys()
    backups.backup(source, directory / "sms.tar")
    target = place(services.empty_database(), directory)

    backups.restore(target, directory / "sms.tar", keep=None)

    restored = db.make_engine(target.url, name="tests")
    with restored.begin() as connection:  # the policy may have been followed since the backup
        assert overdue.resend_silent(connection) == []
    restored.dispose()
    with engine.begin() as connection:
        assert overdue.resend_silent(connection) == [made.id]
    services.drop_database(target.url)


def test_what_services_have_in_the_same_database_is_left_alone(
    engine, database_url, services: Services, directory
):
    with engine.begin() as connection:
        make_message(connection, make_task(connection))
        for statement in (
            'CREATE SCHEMA "Erp"',
            'CREATE TABLE "Erp".invoice AS SELECT 1 AS number',
        ):
            connection.execute(text(statement))
    here = place(database_url, directory)
    here.data.ensure_keys()
    backups.backup(here, directory / "file.tar")
    with engine.begin() as connection:
        connection.execute(text('INSERT INTO "Erp".invoice VALUES (2)'))

    backups.restore(here, directory / "file.tar", keep=directory / "before.tar")

    assert ask(
        database_url, 'SELECT count(*), bool_and(restored) FROM "Erp".invoice, installation'
    ) == {2: True}
    target = place(services.empty_database(), directory)
    backups.restore(target, directory / "before.tar", keep=None)
    assert ask(target.url, "SELECT count(*), to_regnamespace('\"Erp\"') FROM message") == {1: None}
    services.drop_database(target.url)


def test_after_a_restore_no_number_is_given_to_another_message(
    file, engine, services: Services, directory
):
    with engine.begin() as connection:  # since the backup; whoever enqueued it knows its number
        since = make_message(connection, make_task(connection)).id
    target = place(services.empty_database(), directory)

    backups.restore(target, file, keep=None)

    restored = db.make_engine(target.url, name="tests")
    with restored.begin() as connection:
        assert connection.execute(NEXT, {"table": "message"}).scalar_one() > since
        assert connection.execute(NEXT, {"table": "intake"}).scalar_one() > 10**12
    restored.dispose()
    services.drop_database(target.url)


def test_after_a_restore_no_log_of_the_throttle_passes_for_the_present_one(
    file, services: Services, directory
):
    target = place(services.empty_database(), directory)

    backups.restore(target, file, keep=None)

    (generation,) = ask(target.url, "SELECT generation, 1 FROM installation")
    assert isinstance(generation, int)
    assert generation > 1_000_000
    services.drop_database(target.url)


def test_a_backup_is_readable_by_its_owner_alone_and_holds_the_keys(file, directory):
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    with tarfile.open(file) as tar:
        keys = tar.extractfile("keys")
        assert keys is not None
        assert keys.read() == (directory / "data" / "keys").read_bytes()
    assert [path.name for path in directory.iterdir() if path.name.startswith(".")] == []


def test_a_backup_replaces_no_file(file, database_url, directory):
    with pytest.raises(BackupError, match="exists"):
        backups.backup(place(database_url, directory), file)


def test_a_restore_brings_back_the_keys_of_the_credentials(file, services: Services, directory):
    sealed = Vault((directory / "data" / "keys").read_text().split()).seal("tajné")
    target = place(services.empty_database(), directory / "elsewhere")
    target.data.ensure_keys()

    backups.restore(target, file, keep=None)

    keys = (target.data.path / "keys").read_text().split()
    assert len(keys) == 2
    assert Vault(keys).open(sealed) == "tajné"
    services.drop_database(target.url)


def test_a_restore_whose_keys_would_be_lost_is_refused(file, services: Services, directory):
    from cryptography.fernet import Fernet

    url = services.empty_database()
    target = place(url, directory, KADENCIA_KEYS=Fernet.generate_key().decode())

    with pytest.raises(BackupError, match="KADENCIA_KEYS does not hold"):
        backups.restore(target, file, keep=None)

    assert ask(url, "SELECT 1, count(*) FROM pg_tables WHERE schemaname = 'public'") == {1: 0}
    services.drop_database(url)


def test_what_a_database_holds_is_replaced_only_by_force(file, database_url, engine, directory):
    target = place(database_url, directory)
    with engine.begin() as connection:
        connection.execute(text("UPDATE company SET name = 'Iná firma'"))

    with pytest.raises(BackupError, match="not empty"):
        backups.restore(target, file, keep=None)
    assert list(ask(database_url, "SELECT name, 1 FROM company")) == ["Iná firma"]

    before = directory / "before.tar"
    backups.restore(target, file, keep=before)
    assert list(ask(database_url, "SELECT name, 1 FROM company")) != ["Iná firma"]

    backups.restore(target, before, keep=directory / "again.tar")
    assert list(ask(database_url, "SELECT name, 1 FROM company")) == ["Iná firma"]


def test_a_database_on_which_workers_work_is_not_replaced(file, database_url, engine, directory):
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO process (id, server_id, host, pid, version, slots) "
                "SELECT gen_random_uuid(), id, 'a.example', 7, '0.1', 4 FROM server"
            )
        )

    with pytest.raises(BackupError, match="stop them"):
        backups.restore(place(database_url, directory), file, keep=directory / "before.tar")

    assert not (directory / "before.tar").exists()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    octets = bytearray(file.read_bytes())
    octets[len(octets) * 2 // 3] ^= 0xFF
    file.write_bytes(octets)


def fill(file: Path) -> None:
    file.write_text("Dobrý deň")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(cut, id="cut off"),
        pytest.param(flip, id="one octet is wrong"),
        pytest.param(fill, id="something else"),
        pytest.param(Path.unlink, id="missing"),
    ],
)
def test_a_damaged_backup_is_refused_and_nothing_is_changed(
    file, services: Services, directory, damage
):
    url = services.empty_database()
    damage(file)

    with pytest.raises(BackupError, match=r"damaged|cannot be read"):
        backups.restore(place(url, directory), file, keep=None)

    assert ask(url, "SELECT 1, count(*) FROM pg_tables WHERE schemaname = 'public'") == {1: 0}
    services.drop_database(url)


def test_both_start_the_embedded_database_when_nothing_runs(directory):
    data = DataDirectory(directory / "one")
    with backups.reachable(load({}), data, make=True) as source:
        engine = db.make_engine(source.url, name="tests")
        db.migrate(engine)
        with engine.begin() as connection:
            make_message(connection, make_task(connection), subject="ready")
        engine.dispose()

    with backups.reachable(load({}), data, make=False) as source:
        backups.backup(source, directory / "file.tar")
    other = DataDirectory(directory / "two")
    with backups.reachable(load({}), other, make=True) as target:
        backups.restore(target, directory / "file.tar", keep=None)
        assert ask(target.url, "SELECT subject, state FROM message") == {"ready": "unknown"}

    assert not processes_about(directory)


def test_a_backup_of_an_installation_that_is_not_there_says_so(directory):
    data = DataDirectory(directory / "none")

    with pytest.raises(BackupError, match="there is no database"), ExitStack() as stack:
        stack.enter_context(backups.reachable(load({}), data, make=False))

    assert not data.path.exists()


def test_the_programs_get_a_password_with_odd_characters(services: Services, directory):
    url = services.fresh_database()
    engine = db.make_engine(url, name="tests")
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE odd LOGIN SUPERUSER PASSWORD 'p @:/=''#\\%'"))
    engine.dispose()
    odd = url.split("@")[1]

    password = "p%20%40%3A%2F%3D%27%23%5C%25"
    backups.backup(place(f"postgresql://odd:{password}@{odd}", directory), directory / "odd.tar")

    engine = db.make_engine(url, name="tests")
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE odd"))
    engine.dispose()
    services.drop_database(url)
