"""The processes of the product that `kadencia up` runs beside the servers."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from settings import Settings
from worker import db
from worker.embedded.directory import DataDirectory
from worker.embedded.errors import NotReady
from worker.embedded.processes import ProcessSpec
from worker.embedded.server import choose_port
from worker.fleet.output import LogFormat

PYTHON = (sys.executable, "-P")
"""-P: a directory `worker` where the command was typed must not be taken for ours."""

WATCHED = ("api", "metrics", "flower")
"""What listens for others, in the order in which it starts; each may be left out."""

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
        listening: which of `WATCHED` run as well.
        api_port: where the API listens; None for one that is chosen and remembered.
        log_format: how all processes' lines are written.
    """

    server: str = "local"
    processes: int = 4
    queues: str = "email,eurosms"
    listening: tuple[str, ...] = WATCHED
    api_port: int | None = None
    log_format: LogFormat = "text"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything is, on loopback what is ours; `ports` holds what was wanted."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    ports: Mapping[str, int] = field(default_factory=dict)

    def url(self, name: str) -> str | None:
        """Where a browser or program finds one of `WATCHED`, if it runs."""
        return f"http://127.0.0.1:{self.ports[name]}" if name in self.ports else None

    def as_endpoints(self) -> dict[str, str]:
        """As other commands read them from the data directory."""
        listening = {f"{name}_url": f"http://127.0.0.1:{port}" for name, port in self.ports.items()}
        return {"database_url": self.database_url, "redis_url": self.redis_url, **listening}


def choose_ports(data: DataDirectory, options: Options) -> dict[str, int]:
    """A port for each that listens; they stay the same from one start to the next."""
    given = {"api": options.api_port} if options.api_port else {}
    return {
        name: given.get(name) or choose_port(data.path / f"{name}.port")
        for name in options.listening
    }


def product_specs(
    settings: Settings,
    data: DataDirectory,
    environ: Mapping[str, str],
    options: Options,
    addresses: Addresses,
) -> Iterator[ProcessSpec]:
    """Beat, a worker and what listens, each with its secrets in the environment alone."""
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
        ready=_Registered(
            addresses.database_url if embedded else settings.require_direct_url(), options.server
        ),
        # Killed in mid-dialogue it would leave messages unknown; a second Ctrl-C does it.
        stop_seconds=settings.handover_max_seconds + STOP_MARGIN_SECONDS,
        death_signal=signal.SIGKILL if embedded else signal.SIGTERM,
    )
    for name, port in addresses.ports.items():
        # No `ready`: mail goes out without them as well.
        secrets = _flower_secrets(data, settings) if name == "flower" else {}
        yield ProcessSpec(
            name=name,
            argv=(*PYTHON, "-m", "worker", name, "--host", "127.0.0.1", "--port", str(port)),
            env={**env, **secrets},
            death_signal=signal.SIGKILL,
        )


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
    doubled = {
        "KADENCIA_DATABASE_URL",
        "KADENCIA_REDIS_URL",
        "KADENCIA_SERVER",
        "KADENCIA_ALIVE_FILE",
    }
    return {name: value for name, value in environ.items() if name not in doubled} | ours


def _flower_secrets(data: DataDirectory, settings: Settings) -> dict[str, str]:
    """Flower's password: the one that was set, or the data directory's."""
    if settings.flower_password is not None:
        return {}
    return {"KADENCIA_FLOWER_PASSWORD": data.secret("flower")}


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
