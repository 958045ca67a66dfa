"""What the embedded servers have in common: a user, binaries, a port, a start and a stop."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from worker.embedded import processes
from worker.embedded.errors import CannotRun, DirectoryUnfit, NotReady
from worker.embedded.processes import ProcessSpec

PORTS = range(20_000, 30_000)
"""Below the ports that systems give to outgoing connections (Linux: from 32768), so that a
remembered port is seldom taken by chance."""

ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
"""All that a server sees of the environment: ours may hold secrets."""


SERVICE_USER = "nobody"
"""Whom the servers run as when we are root, which PostgreSQL refuses to be."""


def run_as() -> tuple[int, int] | None:
    """The uid and gid that the servers run as; None: ours.

    Raises:
        CannotRun: the user is not in /etc/passwd, where PostgreSQL looks it up.
    """
    uid = os.geteuid()
    try:
        entry = pwd.getpwuid(uid) if uid else pwd.getpwnam(SERVICE_USER)
    except KeyError:
        raise CannotRun(
            f"/etc/passwd has no entry for {f'uid {uid}' if uid else SERVICE_USER}, which "
            f"PostgreSQL needs; add one, or set DATABASE_URL and REDIS_URL to servers of your own"
        ) from None
    return None if uid else (entry.pw_uid, entry.pw_gid)


class EmbeddedServer:
    """A server that keeps its data in one directory; not shared between threads.

    `prepare` and `spec` are for the supervisor; `start`, `stop` and `kill` are for those
    who run the server by themselves, such as tests and one-off commands. The process ends
    with the *thread* that called `start`.
    """

    name: str
    database: str | int
    """The one that the product uses."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.run_as = run_as()
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the product's database on it is, with the password; after `prepare`."""
        return self.url_of(self.database)

    def url_of(self, database: str | int) -> str:
        """Where one of its databases is, with the password; after `prepare`."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make what the server needs, once; start nothing."""
        raise NotImplementedError

    def spec(self) -> ProcessSpec:
        """How to run it; after `prepare`."""
        raise NotImplementedError

    @property
    def pid(self) -> int | None:
        """The server's process, None when `start` was not called or it was stopped."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Prepare, start and wait until it serves; its output goes to `<name>.log` beside it.

        Raises:
            NotReady: it ended or did not answer in time, with its last words.
        """
        self.prepare()
        spec = self.spec()
        log = self.directory.with_name(f"{self.name}.log")
        log.touch(mode=0o600)  # it may quote statements
        with log.open("wb") as output:
            self._process = processes.start(spec, output)
        try:
            processes.wait_until_ready(spec, self._process)
        except BaseException as error:
            self.stop()
            if isinstance(error, NotReady):
                words = log.read_text(errors="replace").strip()[-500:]
                raise NotReady(self.name, f"{error.reason}; its last words: {words}") from error
            raise

    def stop(self) -> None:
        """End it in good order; nothing if it does not run."""
        if self._process is not None:
            processes.stop(self.spec(), self._process)
            self._process = None

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(self, argv: Sequence[str]) -> str:
        """Run a program as the server's user; its output.

        Raises:
            CannotRun: it failed, with its last words.
        """
        done = subprocess.run(  # noqa: S603  argv is ours
            processes.command(argv, signal.SIGKILL, self.run_as),
            env=ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise CannotRun(f"{Path(argv[0]).name} failed: {done.stdout.strip()[-500:]}")
        return done.stdout.strip()

    def make_private(self, path: Path) -> None:
        """Make a directory that only the server's user may enter.

        Raises:
            DirectoryUnfit: that user cannot get there.
        """
        path.mkdir(mode=0o700, exist_ok=True)
        if self.run_as is None:
            return
        os.chown(path, *self.run_as)
        try:
            self.run(["/bin/sh", "-c", 'cd "$0"', str(path)])
        except CannotRun:
            raise DirectoryUnfit(
                f"{path} cannot be reached by the user {SERVICE_USER}, whom the embedded "
                f"servers run as under root; set KADENCIA_DATA to a directory under /var/lib"
            ) from None

    def reachable(self, binary: Path, keep: Sequence[Path], copies: Path) -> Path:
        """The binary, or a copy of it where the server's user cannot reach it.

        Args:
            binary: what shall run; `--version` must work.
            keep: directories to copy with it, all in the same parent.
            copies: our directory for the copies, made once; its name tells the version.
        """
        try:
            self.run([str(binary), "--version"])
            return binary
        except CannotRun:
            if self.run_as is None:
                raise
        if not copies.exists():
            half = copies.with_name(f"{copies.name}.half")
            shutil.rmtree(half, ignore_errors=True)
            for one in keep:
                shutil.copytree(one, half / one.name, symlinks=True)
            _let_all_read(half)
            half.rename(copies)
        copy = copies / binary.relative_to(keep[0].parent)
        self.run([str(copy), "--version"])
        return copy


def _let_all_read(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def choose_port(remembered: Path) -> int:
    """The port in that file if it is free, else another, written there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     file = Path(directory) / "port"
    ...     choose_port(file) == choose_port(file) == int(file.read_text())
    True
    """
    try:
        port = int(remembered.read_text())
    except (FileNotFoundError, ValueError):
        port = 0
    if port and _is_free(port):
        return port
    for port in random.sample(PORTS, len(PORTS)):
        if _is_free(port):
            remembered.write_text(f"{port}\n")
            return port
    raise CannotRun(f"no free port between {PORTS[0]} and {PORTS[-1]} on 127.0.0.1")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
