"""One file that holds the database and the keys of its credentials, and the way back from it.

The file is a tar of `manifest.json`, `database.dump` (pg_dump's custom format) and `keys`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import Engine, text

from settings import Settings
from worker import db
from worker.backup.programs import BackupError, Place, engine_of, run
from worker.embedded.directory import DataDirectory, write_atomically
from worker.embedded.postgres import EmbeddedPostgres
from worker.outbox import restored

__all__ = ["BackupError", "Manifest", "Place", "backup", "reachable", "restore"]

MANIFEST, DUMP, KEYS = "manifest.json", "database.dump", "keys"

# Services that enqueue by SQL may have their tables in the same database. Quoted, a name is no
# pattern.
OTHERS = text(r"""
    SELECT '"' || replace(nspname, '"', '""') || '"' FROM pg_namespace
    WHERE nspname NOT IN ('public', 'kadencia', 'information_schema') AND nspname !~ '^pg_'
""")

LIVE = text("""
    SELECT count(*) FROM process WHERE beat_at > clock_timestamp() - interval '1 minute'
""")

# Stays within the transaction of the restore: whoever holds a table is waited for, not for ever.
CLEAR = """
SET LOCAL lock_timeout = '30s';
DROP SCHEMA IF EXISTS public CASCADE;
CREATE SCHEMA public;
DROP SCHEMA IF EXISTS kadencia CASCADE;
"""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is of.

    Attributes:
        product: version that made it.
        schema: revision of the database.
        made_at: ISO 8601, UTC.
        sha256: of the dump.
    """

    product: str
    schema: str
    made_at: str
    sha256: str


@contextmanager
def reachable(settings: Settings, data: DataDirectory, *, make: bool) -> Iterator[Place]:
    """The database: the one whose address is known, else the embedded one, started for this.

    Args:
        settings: with the address of a running `kadencia up`, if there is one.
        data: the data directory.
        make: make an embedded database where there is none.

    Raises:
        BackupError: there is no database.
        EmbeddedError: the embedded one cannot be started.
    """
    if settings.database_url is not None:
        yield Place(settings.require_direct_url(), settings, data)
        return
    if not make and not (data.path / "postgres").exists():
        raise BackupError(
            f"there is no database in {data.path}; set KADENCIA_DATA to the directory of the "
            f"installation, or DATABASE_URL to its server"
        )
    with data.lock():
        server = EmbeddedPostgres(data)
        server.start()
        try:
            yield Place(server.url, settings, data)
        finally:
            server.stop()


def backup(place: Place, file: Path) -> Manifest:
    """Write the database and the keys into one file that only its owner may read.

    It appears under its name when it is whole. The database may be in use.

    Raises:
        BackupError: the file exists, or a program failed.
    """
    if file.exists():
        raise BackupError(f"{file} exists; choose another name, or remove it first")
    with engine_of(place) as engine, engine.connect() as connection:
        schema = db.schema_revision(connection)
        others = list(connection.execute(OTHERS).scalars())
    if not schema:
        raise BackupError("the database has no schema, so there is nothing to back up")
    with _beside(file) as half:
        dump = half / DUMP
        options = ["--format=custom", "--no-owner", "--no-privileges", f"--file={dump}"]
        run(place, "pg_dump", *options, *(f"--exclude-schema={name}" for name in others))
        manifest = Manifest(
            version("kadencia"), schema, datetime.now(UTC).isoformat(), _digest(dump)
        )
        (half / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n")
        (half / KEYS).write_text("".join(f"{key}\n" for key in _keys(place)))
        archive = half / "archive"
        with archive.open("wb") as out:
            with tarfile.open(fileobj=out, mode="w") as tar:
                for name in (MANIFEST, KEYS, DUMP):
                    tar.add(half / name, name)
            out.flush()
            os.fsync(out.fileno())
        archive.chmod(0o600)
        os.link(archive, file)  # unlike a rename, it never replaces another's file
    return manifest


def restore(place: Place, file: Path, *, keep: Path | None) -> Manifest:
    """Bring a backup back, in one transaction; then nothing is sent until a person says so.

    Args:
        place: the database.
        file: the backup.
        keep: replace what the database holds, once that is backed up into this file; None: the
            database must hold nothing.

    Returns:
        What the backup was of.

    Raises:
        BackupError: the file is no backup or damaged, the database is not empty or in use, a
            key would be lost, or a program failed.
    """
    with tempfile.TemporaryDirectory(prefix="kadencia-restore-") as temporary:
        half = Path(temporary)
        manifest = _unpack(file, half)
        with engine_of(place) as engine:
            holds_something = not is_empty(engine)
            if holds_something and keep is None:
                raise BackupError(
                    "the database is not empty; with --force it is backed up and then replaced"
                )
            _check_unused(engine)
        if holds_something and keep is not None:
            backup(place, keep)
        _keep_keys(place, (half / KEYS).read_text().split())
        script = half / "database.sql"
        run(place, "pg_restore", "--no-owner", "--no-privileges", f"--file={script}", half / DUMP)
        (half / "clear.sql").write_text(CLEAR)
        mark = restored.script(datetime.fromisoformat(manifest.made_at))
        (half / "mark.sql").write_text(f"SET search_path = public;\n{mark}")
        parts = [f"--file={half / name}" for name in ("clear.sql", script.name, "mark.sql")]
        run(
            place, "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null",
            "--single-transaction", *parts,
        )  # fmt: skip
    with engine_of(place) as engine:
        return replace(manifest, schema=db.migrate(engine))


def is_empty(engine: Engine) -> bool:
    """Whether a database holds nothing that a restore would destroy."""
    with engine.connect() as connection:
        if connection.execute(text("SELECT to_regclass('public.company')")).scalar() is None:
            tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            return not connection.execute(text(tables)).scalar()
        return not connection.execute(text("SELECT EXISTS (SELECT FROM company)")).scalar()


def _check_unused(engine: Engine) -> None:
    with engine.connect() as connection:
        if connection.execute(text("SELECT to_regclass('public.process')")).scalar() is None:
            return
        live = connection.execute(LIVE).scalar_one()
    if live:
        raise BackupError(
            f"{live} `kadencia worker` still work on the database; stop them, wait a minute, "
            f"and try again"
        )


def _unpack(file: Path, into: Path) -> Manifest:
    try:
        with tarfile.open(file, "r:") as tar:
            for name in (MANIFEST, KEYS, DUMP):
                member = tar.extractfile(name)
                if member is None:
                    raise KeyError(name)
                with (into / name).open("wb") as out:
                    shutil.copyfileobj(member, out)
        manifest = Manifest(**json.loads((into / MANIFEST).read_text()))
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror or error}") from None
    except (tarfile.TarError, KeyError, TypeError, ValueError):
        raise BackupError(f"{file} is no backup made by `kadencia backup`, or damaged") from None
    if _digest(into / DUMP) != manifest.sha256:
        raise BackupError(f"{file} is damaged: the checksum of its database is wrong")
    if manifest.schema not in db.revisions():
        raise BackupError(
            f"{file} was made by version {manifest.product}, whose schema {manifest.schema} this "
            f"version does not know; restore it with that version or a later one"
        )
    return manifest


def _keys(place: Place) -> list[str]:
    settings = place.settings
    if settings.keys is not None:
        return settings.keys.get_secret_value().replace(",", "\n").split()
    path = settings.keys_file or place.data.path / "keys"
    return path.read_text().split() if path.exists() else []


def _keep_keys(place: Place, from_backup: Sequence[str]) -> None:
    """Add the backup's keys to ours: ours stay the newest."""
    ours = _keys(place)
    missing = [key for key in from_backup if key not in ours]
    if not missing:
        return
    if place.settings.keys is not None or place.settings.keys_file is not None:
        where = "KADENCIA_KEYS" if place.settings.keys is not None else "KADENCIA_KEYS_FILE"
        raise BackupError(
            f"the backup's credentials were sealed with keys that {where} does not hold; add "
            f"those that `tar --extract --to-stdout --file BACKUP keys` shows, then try again"
        )
    place.data.prepare()
    write_atomically(place.data.path / "keys", "".join(f"{key}\n" for key in [*ours, *missing]))


@contextmanager
def _beside(file: Path) -> Iterator[Path]:
    try:
        half = Path(tempfile.mkdtemp(prefix=f".{file.name}.", dir=file.parent))
    except OSError as error:
        raise BackupError(f"{file} cannot be written: {error.strerror}") from None
    try:
        yield half
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
