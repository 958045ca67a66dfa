"""One PostgreSQL and one Valkey for a session of tests; each test gets a database of its own."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis
from sqlalchemy import NullPool, create_engine, make_url, text

from worker import db
from worker.embedded.directory import DataDirectory
from worker.embedded.postgres import EmbeddedPostgres
from worker.embedded.valkey import EmbeddedValkey

TEMPLATE = "kadencia_template"

FAST = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "max_wal_size": "1GB"}
"""The session's data need not survive the machine."""
MEMORY = Path("/dev/shm")
MEMORY_OCTETS = 6 * 2**30
"""Chosen: three times what the session's servers have been seen to take."""


@contextmanager
def service_directory(parent: Path | None = None) -> Iterator[Path]:
    """A directory that the servers reach when the tests run as root; removed at the end.

    pytest's own temporary directories are closed to all but root.
    """
    path = Path(tempfile.mkdtemp(prefix="kadencia-tests-", dir=parent))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Services:
    """The session's servers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.postgres = EmbeddedPostgres(DataDirectory(root / "session"), settings=FAST)
        self.valkey = EmbeddedValkey(DataDirectory(root / "session"))
        self._numbers = itertools.count(1)

    def start(self) -> None:
        """Start both and migrate the template database."""
        self.postgres.start()
        self.valkey.start()
        self._admin(f"CREATE DATABASE {TEMPLATE}")
        engine = db.make_engine(self.postgres.url_of(TEMPLATE), name="tests")
        try:
            db.migrate(engine)
        finally:
            engine.dispose()  # a template with a connection open cannot be copied

    def stop(self) -> None:
        """End both; the data are thrown away, so there is no reason to be gentle."""
        self.valkey.kill()
        self.postgres.stop()

    def empty_database(self) -> str:
        """The address of a new database without tables."""
        return self._create("template0")

    def fresh_database(self) -> str:
        """The address of a new, migrated database."""
        return self._create(TEMPLATE)

    def drop_database(self, url: str) -> None:
        """Drop a database; whoever is still connected to it is thrown out."""
        self._admin(f"DROP DATABASE IF EXISTS {url.rsplit('/', 1)[1]} WITH (FORCE)")

    def valkey_url(self, database: int = 0) -> str:
        """The address of one of the session's Valkey databases, 0 to 15."""
        return self.valkey.url_of(database)

    def flush_valkey(self) -> None:
        """Empty all databases of the session's Valkey."""
        client = redis.Redis.from_url(self.valkey_url())
        try:
            client.flushall()
        finally:
            client.close()

    @contextmanager
    def extra_valkey(self) -> Iterator[EmbeddedValkey]:
        """A running Valkey for a test that kills or empties it.

        It has `url`, `pid`, `kill()`, `stop()` and `start()`; its port stays the same. It dies
        with the thread that called `start()`, so call that from the main thread.
        """
        server = EmbeddedValkey(DataDirectory(self.root / f"valkey-{next(self._numbers)}"))
        server.start()
        try:
            yield server
        finally:
            server.kill()

    @contextmanager
    def extra_postgres(self) -> Iterator[EmbeddedPostgres]:
        """A running PostgreSQL for a test that kills it; see `extra_valkey`. It has no tables."""
        data = DataDirectory(self.root / f"postgres-{next(self._numbers)}")
        server = EmbeddedPostgres(data)
        server.start()
        try:
            yield server
        finally:
            server.stop()

    def _create(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        # A database has hundreds of small files: copied as such, in memory, it takes a fifth of
        # the time that its way through the log takes on a disk.
        self._admin(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.postgres.url_of(name)

    def _admin(self, statement: str) -> None:
        url = make_url(self.postgres.url_of("postgres")).set(drivername="postgresql+psycopg2")
        engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(statement))


@contextmanager
def running_services() -> Iterator[Services]:
    """Both servers, for as long as the context is open; killed with this process in any case."""
    with ExitStack() as stack:
        services = Services(stack.enter_context(service_directory(_memory())))
        stack.callback(services.stop)
        services.start()
        yield services


def _memory() -> Path | None:
    """A file system in memory with room enough, if there is one."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_OCTETS
    return MEMORY if roomy else None
