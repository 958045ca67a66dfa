"""Debian's PostgreSQL and PgBouncer of a test's own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.debian_servers import DebianServer
from tests.support.programs import program

USER = "postgres"
"""Debian's user of both: neither server runs as root."""


def hand_over(path: Path) -> None:
    """Give a file or directory to the servers' user, where the tests run as root."""
    if os.geteuid() == 0:
        shutil.chown(path, USER, USER)


class Postgres(DebianServer):
    """Debian's PostgreSQL with an empty database `kadencia`, whose owner has that name too.

    Args:
        directory: its own.
        settings: of its configuration file.
        hba: who may log in how, instead of all of this host with a password.
    """

    run_as = USER

    def __init__(
        self,
        directory: Path,
        settings: Sequence[str] = (),
        hba: Sequence[str] = ("host all all 127.0.0.1/32 scram-sha-256",),
    ) -> None:
        super().__init__(directory)
        self._data = directory / "data"
        self._settings = ["fsync = off", "full_page_writes = off", *settings]
        self._hba = ["local all all peer map=all", *hba]
        hand_over(directory)

    @property
    def url(self) -> str:
        """Its address, with the password."""
        return f"postgresql://kadencia:tajne@127.0.0.1:{self.port}/kadencia"

    def command(self) -> Sequence[str]:
        """What starts it."""
        return [
            program("postgres", "postgresql"),
            *("-D", str(self._data), "-p", str(self.port)),
            *("-c", "listen_addresses=127.0.0.1", "-k", str(self.directory)),
        ]

    def start(self) -> None:
        """Start it; the first time with a new cluster."""
        first = not self._data.exists()
        if first:
            self._tool("initdb", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-D", self._data)
            with (self._data / "postgresql.conf").open("a") as conf:
                conf.write("\n".join(self._settings) + "\n")
            (self._data / "pg_hba.conf").write_text("\n".join(self._hba) + "\n")
            with (self._data / "pg_ident.conf").open("a") as conf:
                conf.write("all /^.*$ postgres\nall /^.*$ kadencia\n")
        super().start()
        if first:
            self.sql("CREATE ROLE kadencia LOGIN PASSWORD 'tajne'")
            self.sql("CREATE DATABASE kadencia OWNER kadencia")

    def sql(self, statement: str) -> str:
        """Run a statement as its superuser, past all passwords."""
        return self._tool(
            *("psql", "-h", self.directory, "-p", str(self.port), "-U", "postgres"),
            *("-tAqc", statement),
        )

    def _tool(self, name: str, *arguments: object) -> str:
        entry = pwd.getpwnam(USER)
        who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        done = subprocess.run(
            [program(name, "postgresql"), *map(str, arguments)],
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            **(who if os.geteuid() == 0 else {}),  # type: ignore[call-overload]
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


class PgBouncer(DebianServer):
    """Debian's PgBouncer in transaction mode, before a PostgreSQL.

    Args:
        directory: its own.
        ini: its whole configuration but for where it listens.
        users: of its file `userlist.txt`.
    """

    run_as = USER

    def __init__(self, directory: Path, ini: str, users: str) -> None:
        super().__init__(directory)
        ours = f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
        (directory / "userlist.txt").write_text(users)
        (directory / "pgbouncer.ini").write_text(
            ini.replace("[pgbouncer]\n", f"[pgbouncer]\n{ours}")
        )
        for path in (directory, directory / "userlist.txt", directory / "pgbouncer.ini"):
            hand_over(path)

    def command(self) -> Sequence[str]:
        """What starts it."""
        return [program("pgbouncer", "pgbouncer"), str(self.directory / "pgbouncer.ini")]
