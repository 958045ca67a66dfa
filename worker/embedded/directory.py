"""The data directory of an installation on one machine: its lock, endpoints and secrets."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cryptography.fernet import Fernet

from worker.embedded.errors import DirectoryInUse, DirectoryUnfit

MARKS = frozenset({"lock", "keys"})
"""A directory that is not empty and holds none of these was not made by us."""

PATIENCE_SECONDS = 1.0
"""Chosen: a lock taken for an instant, by `read_endpoints`, is waited for; a holder is not."""


def default_data_directory(environ: Mapping[str, str], uid: int) -> Path:
    """Where the data lie when nobody says otherwise.

    >>> default_data_directory({"HOME": "/home/eva"}, 1000)
    PosixPath('/home/eva/.local/share/kadencia')
    >>> default_data_directory({"XDG_DATA_HOME": "/home/eva/data"}, 1000)
    PosixPath('/home/eva/data/kadencia')
    >>> default_data_directory({"HOME": "/root"}, 0)
    PosixPath('/var/lib/kadencia')
    """
    if uid == 0:
        return Path("/var/lib/kadencia")
    shared = environ.get("XDG_DATA_HOME", "")
    if shared.startswith("/"):  # the XDG specification: a relative path is to be ignored
        return Path(shared) / "kadencia"
    home = environ.get("HOME")
    return (Path(home) if home else Path.home()) / ".local" / "share" / "kadencia"


class DataDirectory:
    """One data directory; `prepare` or `lock` makes it where it is missing.

    Its files are readable by their owner alone. Under root the directory itself may be
    passed through (0711), because the servers run as another user and must reach theirs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def prepare(self) -> None:
        """Make the directory.

        Raises:
            DirectoryUnfit: it can't be made, or holds something that is not ours.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = set(os.listdir(self.path)) - {"lost+found"}
            if names and not names & MARKS:
                raise DirectoryUnfit(
                    f"{self.path} holds other files; set KADENCIA_DATA to an empty directory "
                    f"or to one that Kadencia made"
                )
            (self.path / "lock").touch(mode=0o600)
            if os.geteuid() == 0:
                self.path.chmod(0o711)
        except OSError as error:
            raise DirectoryUnfit(
                f"{self.path} cannot be used as the data directory: {error.strerror}; "
                f"mend that or set KADENCIA_DATA to another directory"
            ) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory; endpoints are removed at the end.

        The kernel lets the lock go with its holder, however that dies; only a live holder
        is a hindrance.

        Raises:
            DirectoryInUse: another process holds it.
            DirectoryUnfit: see `prepare`.
        """
        self.prepare()
        with _open_lock(self.path) as file:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not _try_lock(file):
                if time.monotonic() > deadline:
                    raise DirectoryInUse(str(self.path), _holder(file))
                time.sleep(0.05)
            file.truncate(0)
            os.pwrite(file.fileno(), f"{os.getpid()}\n".encode(), 0)
            self.forget_endpoints()  # of one that was killed
            try:
                yield
            finally:
                self.forget_endpoints()
                file.truncate(0)

    def write_endpoints(self, endpoints: Mapping[str, str]) -> None:
        """Tell other commands where the running servers are; call it under the lock."""
        write_atomically(self.path / "endpoints.json", json.dumps(dict(endpoints), indent=1) + "\n")

    def forget_endpoints(self) -> None:
        """Nothing is running any more."""
        (self.path / "endpoints.json").unlink(missing_ok=True)

    def secret(self, name: str) -> str:
        """The password of that name, made when it is first asked for."""
        return _keep(self.path / f"{name}.password", lambda: secrets.token_urlsafe(24))

    def ensure_keys(self) -> Path:
        """The file with the keys of stored credentials, made with one key where it is missing.

        Whoever loses it loses the stored SMTP passwords: it belongs into each backup.
        """
        self.prepare()
        _keep(self.path / "keys", lambda: Fernet.generate_key().decode())
        return self.path / "keys"


def read_endpoints(path: Path) -> dict[str, str] | None:
    """Where the servers of that data directory are, None if nothing is running.

    Raises:
        DirectoryUnfit: they may not be read by this user.
    """
    try:
        with (path / "lock").open("rb") as file:
            if _try_lock(file):  # nobody holds it, so whatever stands there is stale
                return None
        found: dict[str, str] = json.loads((path / "endpoints.json").read_text())
        return found
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise DirectoryUnfit(
            f"{path} belongs to another user; run this as the user that runs `kadencia up`"
        ) from error


def write_atomically(path: Path, text: str, *, owner: tuple[int, int] | None = None) -> None:
    """Write a file that only its owner may read; a reader sees the old one or the new one.

    Args:
        path: the file.
        text: its content.
        owner: uid and gid; None: ours.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with open(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            if owner is not None:
                os.fchown(file.fileno(), *owner)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _keep(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        write_atomically(path, make() + "\n")
    return path.read_text().strip()


def _open_lock(path: Path) -> BinaryIO:
    try:
        return (path / "lock").open("r+b")
    except OSError as error:
        raise DirectoryUnfit(
            f"{path} cannot be locked: {error.strerror}; it may belong to another user"
        ) from error


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: BinaryIO) -> int:
    try:
        return int(os.pread(file.fileno(), 20, 0))
    except ValueError:
        return 0
