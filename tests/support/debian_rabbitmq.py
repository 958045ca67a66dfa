"""A node of Debian's RabbitMQ of a test's own, with an Erlang port mapper of its own."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.support.debian_servers import DebianServer, free_port
from tests.support.programs import program

SCRIPTS = Path("/usr/lib/rabbitmq/bin")
"""Debian's command in /usr/sbin would run as another user, and keep its data among the host's."""


class PortMapper(DebianServer):
    """Erlang's epmd: else the first node starts one that outlives it."""

    def command(self) -> Sequence[str]:
        """What starts it."""
        return [program("epmd", "erlang-base"), "-address", "127.0.0.1", "-port", str(self.port)]


class RabbitMQ(DebianServer):
    """One node without plugins; who logs in as guest from this host may do everything.

    Args:
        directory: its own.
        lines: of its rabbitmq.conf, beside what keeps it to itself.
    """

    start_seconds = 60.0  # Erlang takes its time to start

    def __init__(self, directory: Path, lines: Sequence[str] = ()) -> None:
        super().__init__(directory)
        self._mapper, self._node_port = PortMapper(directory / "epmd"), free_port()
        ours = [f"listeners.tcp.1 = 127.0.0.1:{self.port}", "log.console = true", *lines]
        (directory / "rabbitmq.conf").write_text("\n".join(ours) + "\n")
        (directory / "enabled_plugins").write_text("[].\n")

    @property
    def url(self) -> str:
        """Its address."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def command(self) -> Sequence[str]:
        """What starts it."""
        program("rabbitmq-server", "rabbitmq-server")
        return [str(SCRIPTS / "rabbitmq-server")]

    def environment(self) -> Mapping[str, str]:
        """All its places and ports are its own."""
        return {
            **super().environment(),
            "RABBITMQ_NODENAME": f"kadencia{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "logs"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RUNNING_UNDER_SYSTEMD": "1",  # no shell stays in between, so that a signal arrives
            "ERL_EPMD_PORT": str(self._mapper.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # Two cores are enough for a test, and so is one thread for each.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def __enter__(self) -> RabbitMQ:
        self._mapper.start()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._mapper.kill()

    def answers(self) -> bool:
        """Whether it greets: it listens a while before."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as line:
            line.settimeout(2)
            line.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(line.recv(8))
        return False
