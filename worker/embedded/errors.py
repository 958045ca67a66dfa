"""What can go wrong with the embedded servers; each text says how to mend it.

EmbeddedError
├── DirectoryInUse    another process holds the data directory
├── DirectoryUnfit    the data directory cannot serve
├── WrongVersion      the database was made by another PostgreSQL
├── CannotRun         this machine or user cannot run the server
└── NotReady          a server does not answer (yet)
"""

from __future__ import annotations


class EmbeddedError(Exception):
    """Base class of what the embedded servers raise on purpose."""


class DirectoryInUse(EmbeddedError):
    """Another live process holds the data directory.

    Attributes:
        path: the data directory.
        pid: the process that holds it; 0 if it has not written its number yet.
    """

    def __init__(self, path: str, pid: int) -> None:
        super().__init__(path, pid)
        self.path = path
        self.pid = pid

    def __str__(self) -> str:
        holder = f"process {self.pid}" if self.pid else "another process"
        stop = f" (kill {self.pid})" if self.pid else ""
        return (
            f"{self.path} is in use by {holder}; stop it first{stop}, "
            f"or set KADENCIA_DATA to another directory"
        )


class DirectoryUnfit(EmbeddedError):
    """The data directory cannot be made, read or used."""


class WrongVersion(EmbeddedError):
    """The database was made by another major version of PostgreSQL; it was left untouched.

    Attributes:
        path: the database's directory.
        found: the major version that made it.
        ours: the major version of the embedded binaries.
    """

    def __init__(self, path: str, found: str, ours: str) -> None:
        super().__init__(path, found, ours)
        self.path = path
        self.found = found
        self.ours = ours

    def __str__(self) -> str:
        return (
            f"{self.path} was made by PostgreSQL {self.found}, this release brings {self.ours}; "
            f"nothing was changed. Run `kadencia backup` with the release that made it and "
            f"`kadencia restore` with this one, or set KADENCIA_DATA to another directory"
        )


class CannotRun(EmbeddedError):
    """This machine or this user cannot run an embedded server."""


class NotReady(EmbeddedError):
    """A server does not answer yet, or ended before it did.

    Attributes:
        name: the server.
        reason: the last thing that was seen of it.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name} is not ready: {self.reason}"
