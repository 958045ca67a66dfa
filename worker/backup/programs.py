"""PostgreSQL's own programs, run on one database without its password on a command line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, make_url, text

from settings import Settings
from worker import db
from worker.embedded.directory import DataDirectory
from worker.embedded.errors import CannotRun
from worker.embedded.postgres import binaries_directory


class BackupError(Exception):
    """A backup or a restore cannot be made; nothing was changed. The text says what helps."""


@dataclass(frozen=True, slots=True)
class Place:
    """A database and where the programs and keys that belong to it are."""

    url: str = field(repr=False)
    settings: Settings
    data: DataDirectory


@contextmanager
def engine_of(place: Place) -> Iterator[Engine]:
    """An engine on the database, for as long as the context is open."""
    engine = db.make_engine(place.url, name="backup")
    try:
        yield engine
    finally:
        engine.dispose()


def run(place: Place, program: str, *arguments: str | Path) -> None:
    """Run one of PostgreSQL's programs; the password is in a file that we alone may read."""
    with tempfile.TemporaryDirectory(prefix="kadencia-service-") as temporary:
        service = Path(temporary) / "service"
        service.touch(mode=0o600)
        service.write_text(_service(place.url))
        done = subprocess.run(  # noqa: S603  the program is PostgreSQL's
            [_program(place, program), *map(str, arguments)],
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": os.environ.get("HOME", "/"),  # libpq looks for certificates there
                "PGSERVICEFILE": str(service),
                "PGSERVICE": "kadencia",
                "PGCONNECT_TIMEOUT": "10",
                "LC_ALL": "C",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        told = next((line for line in words if "error" in line.lower()), "".join(words[-1:]))
        raise BackupError(f"{program} failed: {told[:300]}; nothing was changed")


def _service(url: str) -> str:
    """The same address in libpq's terms."""
    found = make_url(url)
    values = {
        "host": found.host,
        "port": found.port,
        "user": found.username,
        "password": found.password,
        "dbname": found.database,
        **found.query,
    }
    lines = [f"{name}={value}" for name, value in values.items() if value is not None]
    return "\n".join(["[kadencia]", *lines, ""])


def _program(place: Place, name: str) -> str:
    """Of the programs at hand the oldest that is not older than the server.

    An older one refuses; what a newer one writes an old server may not understand.
    """
    with engine_of(place) as engine, engine.connect() as connection:
        number = connection.execute(text("SHOW server_version_num")).scalar_one()
    wanted = int(number) // 10_000
    found = {_major(path): path for path in _candidates(name)}
    fit = [major for major in found if major >= wanted]
    if not fit:
        raise BackupError(
            f"{name} of PostgreSQL {wanted} is missing; install the client programs of that "
            f"version (Debian: apt-get install postgresql-client-{wanted})"
        )
    return found[min(fit)]


def _candidates(name: str) -> Iterator[str]:
    with suppress(CannotRun):
        yield str(binaries_directory() / name)
    own = shutil.which(name)
    if own is not None:
        yield own


def _major(program: str) -> int:
    """The major version of one of PostgreSQL's programs; 0 if it does not run."""
    done = subprocess.run(  # noqa: S603
        [program, "--version"], capture_output=True, text=True, check=False
    )
    number = re.search(r" (\d+)", done.stdout)
    return int(number[1]) if number else 0
