"""Runs both embedded servers on a data directory until it is told to stop or is killed.

As a script: `python -m tests.support.embedded_stack DIRECTORY [supervised]` writes one line of
JSON when they serve, and waits for SIGTERM.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.support.services import FAST
from worker import db
from worker.embedded.directory import DataDirectory
from worker.embedded.postgres import EmbeddedPostgres
from worker.embedded.valkey import EmbeddedValkey
from worker.fleet.supervisor import run


def tell(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    """Say where the servers are."""
    found = {
        "database_url": postgres.url,
        "redis_url": valkey.url,
        "postgres": postgres.pid,
        "valkey": valkey.pid,
    }
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def alone(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> int:
    """Run them without a supervisor."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    postgres.start()
    valkey.start()
    tell(postgres, valkey)
    signal.sigwait({signal.SIGTERM})
    valkey.stop()
    postgres.stop()
    return 0


def supervised(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> int:
    """Run them under the supervisor, whose lines go to standard error."""
    postgres.prepare()
    valkey.prepare()
    return run(
        [postgres.spec(), valkey.spec()],
        log_format="text",
        out=sys.stderr,
        on_started=lambda: tell(postgres, valkey),
    )


def main(path: Path, how: str = "alone") -> int:
    """Hold the directory and run them."""
    data = DataDirectory(path)
    with data.lock():
        servers = EmbeddedPostgres(data, settings=FAST), EmbeddedValkey(data)
        return supervised(*servers) if how == "supervised" else alone(*servers)


@contextmanager
def stack(
    home: Path, user: str | None = None, how: str = "alone"
) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """Both servers under a parent process of their own, and what that tells of them."""
    if user:
        shutil.chown(home, user)
    process = subprocess.Popen(
        [*python_as(user), "-B", "-m", "tests.support.embedded_stack", str(home / "data"), how],
        stdout=subprocess.PIPE,
        text=True,
        env={"HOME": str(home), "PATH": os.defpath},
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.terminate()


def python_as(user: str | None) -> list[str]:
    """Our interpreter as that user, who may search the directories above it: root's, perhaps."""
    if user is None:
        return [sys.executable]
    entry = pwd.getpwnam(user)
    who = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    search = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", *who, *search, sys.executable]


def execute(url: str, statement: str) -> Any:
    """Run one statement; its one value, if it has any."""
    engine = db.make_engine(url, name="tests")
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return result.scalar_one() if result.returns_rows else None
    finally:
        engine.dispose()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
