"""The whole product on one machine, as one tree of processes: `kadencia up`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from settings import Settings
from worker import bootstrap, db
from worker.embedded.directory import DataDirectory
from worker.embedded.errors import NotReady
from worker.embedded.postgres import EmbeddedPostgres
from worker.embedded.processes import ProcessSpec
from worker.embedded.server import choose_port
from worker.embedded.valkey import EmbeddedValkey
from worker.fleet import supervisor
from worker.fleet.output import LogFormat
from worker.rebuild import rebuild

FLOWER_TASKS = 20_000
"""Chosen: how many tasks Flower remembers, some 50 MB; the evidence is in PostgreSQL."""

FLOWER_USER = "kadencia"

STOP_MARGIN_SECONDS = 90.0
"""Chosen: `kadencia worker` ends its own two processes within this much of a hand-over."""

ALIVE = text("""
    SELECT count(*) FROM process p JOIN server s ON s.id = p.server_id
    WHERE s.name = :server AND p.beat_at > :since
""")


@dataclass(frozen=True, slots=True)
class Options:
    """What a person chooses about `kadencia up`.

    Attributes:
        server: the OAC server that this machine is.
        processes: how many e-mails it sends at once.
        queues: what the worker sends, as `kadencia worker` takes it.
        flower: whether Flower runs as well.
        log_format: how all processes' lines are written.
    """

    server: str = "local"
    processes: int = 4
    queues: str = "email,eurosms"
    flower: bool = True
    log_format: LogFormat = "text"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything is; `None` for a Flower that was not wanted."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    flower_port: int | None = None

    @property
    def flower_url(self) -> str | None:
        """Where a browser finds Flower."""
        return None if self.flower_port is None else f"http://127.0.0.1:{self.flower_port}"

    def as_endpoints(self) -> dict[str, str]:
        """As other commands read them from the data directory."""
        found = {
            "database_url": self.database_url,
            "redis_url": self.redis_url,
            "flower_url": self.flower_url,
        }
        return {name: url for name, url in found.items() if url is not None}


def up(
    settings: Settings,
    data: DataDirectory,
    environ: Mapping[str, str],
    options: Options,
    *,
    out: TextIO,
    tell: Callable[[Addresses], None],
) -> int:
    """Run everything that is not run elsewhere, until SIGINT, SIGTERM or SIGHUP.

    Args:
        settings: with the addresses of servers that are not to be started; those that are
            absent come embedded.
        data: the data directory; held locked all the while.
        environ: what the processes inherit.
        options: what a person chose.
        out: takes the log of all processes.
        tell: called once when everything works.

    Returns:
        0 after an ordered stop; 1 if something did not start.

    Raises:
        EmbeddedError: the data directory is held by another, or can't serve.
        sqlalchemy.exc.OperationalError: a PostgreSQL that was named does not answer.
    """
    with data.lock():
        postgres = None if settings.database_url else EmbeddedPostgres(data)
        valkey = None if settings.redis_url else EmbeddedValkey(data)
        for server in (postgres, valkey):
            if server is not None:
                server.prepare()
        if settings.keys is None and settings.keys_file is None:
            data.ensure_keys()
        addresses = Addresses(
            postgres.url if postgres else settings.require_database_url(),
            valkey.url if valkey else settings.require_redis_url(),
            choose_port(data.path / "flower.port") if options.flower else None,
        )
        if postgres is None:
            migrate(addresses.database_url)

        def started() -> None:
            data.write_endpoints(addresses.as_endpoints())
            tell(addresses)

        return supervisor.run(
            [
                *server_specs(settings, addresses, postgres, valkey),
                *product_specs(settings, data, environ, options, addresses),
            ],
            log_format=options.log_format,
            out=out,
            on_started=started,
        )


def migrate(url: str) -> str:
    """Bring a database to this version's schema; the revision that is then in force."""
    engine = db.make_engine(url, name="migrate")
    try:
        return db.migrate(engine)
    finally:
        engine.dispose()


def open_log(settings: Settings, addresses: Addresses) -> None:
    """Fill the throttle's log, which no restart of Redis leaves whole.

    `recover` would do it too, within seconds in which nothing is sent.
    """
    located = settings.model_copy(
        update={
            "database_url": SecretStr(addresses.database_url),
            "redis_url": SecretStr(addresses.redis_url),
        }
    )
    engine = bootstrap.make_engine(located, "up")
    try:
        rebuild(engine, bootstrap.make_throttle(located))
    finally:
        engine.dispose()


def server_specs(
    settings: Settings,
    addresses: Addresses,
    postgres: EmbeddedPostgres | None,
    valkey: EmbeddedValkey | None,
) -> Iterator[ProcessSpec]:
    """The embedded servers, prepared; schema and log are in place before the product starts."""
    if postgres is not None:
        yield replace(postgres.spec(), then=lambda: _discard(migrate(addresses.database_url)))
    if valkey is not None:
        yield replace(valkey.spec(), then=lambda: open_log(settings, addresses))


def product_specs(
    settings: Settings,
    data: DataDirectory,
    environ: Mapping[str, str],
    options: Options,
    addresses: Addresses,
) -> Iterator[ProcessSpec]:
    """Beat, a worker and Flower, each with its secrets in the environment alone."""
    env = environment(environ, data.path, options, addresses)
    yield ProcessSpec(
        name="beat",
        argv=(*PYTHON, "-m", "worker", "beat"),
        env=env,
        death_signal=signal.SIGKILL,  # it holds nothing
    )
    # An answer that comes after PostgreSQL has gone could not be recorded: no use in waiting.
    embedded = settings.database_url is None
    yield ProcessSpec(
        name="worker",
        argv=(
            *(*PYTHON, "-m", "worker", "worker"),
            *("--server", options.server, "--queues", options.queues),
            *("--processes", str(options.processes)),
        ),
        env=env,
        ready=_Registered(addresses.database_url, options.server),
        # Killed in mid-dialogue it would leave messages unknown; a second Ctrl-C does it.
        stop_seconds=settings.handover_max_seconds + STOP_MARGIN_SECONDS,
        death_signal=signal.SIGKILL if embedded else signal.SIGTERM,
    )
    if addresses.flower_port is not None:
        yield _flower(data, env, addresses.flower_port)


PYTHON = (sys.executable, "-P")
"""-P: a directory `worker` where the command was typed must not be taken for ours."""


def environment(
    environ: Mapping[str, str], data: Path, options: Options, addresses: Addresses
) -> dict[str, str]:
    """What the processes of the product see: what we saw, and where the servers are."""
    ours = {
        "DATABASE_URL": addresses.database_url,
        "REDIS_URL": addresses.redis_url,
        "KADENCIA_DATA": str(data),
        "KADENCIA_LOG_FORMAT": options.log_format,
    }
    doubled = {"KADENCIA_DATABASE_URL", "KADENCIA_REDIS_URL", "KADENCIA_SERVER"}
    return {name: value for name, value in environ.items() if name not in doubled} | ours


def _flower(data: DataDirectory, env: Mapping[str, str], port: int) -> ProcessSpec:
    # No `ready`: mail goes out without it as well.
    directory = data.path / "flower"  # else it would read a flowerconfig.py where we are
    directory.mkdir(mode=0o700, exist_ok=True)
    return ProcessSpec(
        name="flower",
        argv=(
            *(*PYTHON, "-m", "celery", "--quiet", "--app", "worker.app"),
            *("flower", "--address=127.0.0.1", f"--port={port}", "--read_only=True"),
            *("--persistent=False", f"--max_tasks={FLOWER_TASKS}"),
        ),
        env={**env, "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{data.secret('flower')}"},
        death_signal=signal.SIGKILL,
        cwd=directory,
    )


class _Registered:
    """Whether a worker of the OAC server has given a sign of life since this first asked."""

    def __init__(self, database_url: str, server: str) -> None:
        self._engine = db.make_engine(database_url, name="up")
        self._server = server
        self._since: object = None

    def __call__(self) -> None:
        try:
            with self._engine.connect() as connection:
                self._since = self._since or db.now(connection)
                values = {"server": self._server, "since": self._since}
                alive = connection.execute(ALIVE, values).scalar_one()
        except SQLAlchemyError as error:
            raise NotReady("worker", f"PostgreSQL is away ({type(error).__name__})") from None
        if not alive:
            raise NotReady("worker", f"it has not registered as OAC server {self._server!r}")
        self._engine.dispose()


def _discard(_: object) -> None:
    """`then` wants a function without a result."""
