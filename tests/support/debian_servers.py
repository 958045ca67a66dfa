"""Servers of Debian's packages as processes of a test's own, on free ports of loopback."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import redis

from tests.support.process_table import wait_until
from tests.support.programs import program
from worker.embedded import processes
from worker.embedded.processes import ProcessSpec


def free_port() -> int:
    """A port of loopback that nobody listens at now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class DebianServer:
    """One server process; it ends with the context, and with this process in any case.

    Attributes:
        port: where it listens on 127.0.0.1.
        directory: its own, with its configuration, data and log.
    """

    start_seconds = 30.0

    def __init__(self, directory: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.directory = directory
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """What starts it."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Its environment."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory), "LC_ALL": "C.UTF-8"}

    def answers(self) -> bool:
        """Whether it serves."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    run_as: str | None = None
    """The user it runs as when the tests run as root."""

    def start(self) -> None:
        """Start it and wait until it serves."""
        run_as = None
        if self.run_as and os.geteuid() == 0:
            entry = pwd.getpwnam(self.run_as)
            run_as = (entry.pw_uid, entry.pw_gid)
        spec = ProcessSpec(
            name=type(self).__name__,
            argv=self.command(),
            env=self.environment(),
            death_signal=signal.SIGKILL,
            run_as=run_as,
            cwd=self.directory,
        )
        with self.log.open("ab") as output:
            self._process = processes.start(spec, output)
        wait_until(self._is_up, self.start_seconds)

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"it ended:\n{self.log.read_text(errors='replace')[-2000:]}")
        return self.answers()

    def signal(self, how: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(how)

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> DebianServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


class RedisServer(DebianServer):
    """Debian's Redis.

    Args:
        directory: its own.
        lines: of its configuration file, beside what keeps it to itself.
    """

    def __init__(self, directory: Path, lines: Sequence[str] = (), *, tls: bool = False) -> None:
        super().__init__(directory)
        port = [f"tls-port {self.port}", "port 0"] if tls else [f"port {self.port}"]
        ours = [*port, "bind 127.0.0.1", f"dir {directory}", "save ''", *lines]
        (directory / "redis.conf").write_text("\n".join(ours) + "\n")

    def command(self) -> Sequence[str]:
        """What starts it."""
        return [program("redis-server", "redis-server"), str(self.directory / "redis.conf")]

    @property
    def url(self) -> str:
        """Its address, without a password."""
        return f"redis://127.0.0.1:{self.port}/0"


class RedisSentinel(DebianServer):
    """One of Debian's Sentinels."""

    def __init__(self, directory: Path, lines: Sequence[str]) -> None:
        super().__init__(directory)
        ours = [f"port {self.port}", "bind 127.0.0.1", f"dir {directory}", *lines]
        (directory / "sentinel.conf").write_text("\n".join(ours) + "\n")

    def command(self) -> Sequence[str]:
        """What starts it."""
        return [program("redis-sentinel", "redis-sentinel"), str(self.directory / "sentinel.conf")]

    def master(self, name: str) -> tuple[str, int] | None:
        """Which server it takes for the master."""
        with redis.Redis(port=self.port, decode_responses=True) as client:
            found: tuple[str, int] | None = client.sentinel_get_master_addr_by_name(name)
            return found
