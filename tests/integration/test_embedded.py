"""PostgreSQL and Valkey out of wheels, on a data directory of one machine."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy.exc import OperationalError

from tests.support.embedded_stack import execute, stack
from tests.support.process_table import processes_about, uid_of, wait_until
from tests.support.services import FAST, service_directory
from worker.embedded.directory import DataDirectory
from worker.embedded.errors import CannotRun, DirectoryUnfit, NotReady, WrongVersion
from worker.embedded.postgres import EmbeddedPostgres, binaries_directory
from worker.embedded.valkey import EmbeddedValkey

ROOT = os.geteuid() == 0
ORDINARY = ROOT and shutil.which("setpriv") is not None
only_root = pytest.mark.skipif(not ROOT, reason="only root can become another user")
USERS = [
    pytest.param(
        "nobody",
        id="as an ordinary user",
        marks=pytest.mark.skipif(not ORDINARY, reason="needs root and setpriv"),
    ),
    pytest.param(None, id="as the user of the tests"),
]


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory in which no process is left behind."""
    with service_directory() as path:
        yield path
        wait_until(lambda: not processes_about(path))


def serves(url: str) -> bool:
    try:
        return bool(execute(url, "SELECT 1"))
    except OperationalError:
        return False


def server_pids(home: Path) -> dict[str, int]:
    """The postmaster and Valkey, by name."""
    found = {}
    for pid, line in processes_about(home).items():
        name = Path(line.split()[0]).name
        if name in {"postgres", "valkey-server"} and "python" not in line:
            found[name] = pid
    return found


def postgres_in(home: Path, **arguments: Any) -> EmbeddedPostgres:
    return EmbeddedPostgres(DataDirectory(home / "data"), settings=FAST, **arguments)


@pytest.mark.parametrize("user", USERS)
def test_what_was_stored_is_there_after_a_restart_at_the_same_address(home, user):
    with stack(home, user) as (_, first):
        execute(first["database_url"], "CREATE TABLE kept AS SELECT 'ano' AS word")
        with redis.Redis.from_url(first["redis_url"]) as client:
            client.set("kept", "ano")

    with stack(home, user) as (_, second):
        assert second["database_url"] == first["database_url"]
        assert second["redis_url"] == first["redis_url"]
        assert execute(second["database_url"], "SELECT word FROM kept") == "ano"
        with redis.Redis.from_url(second["redis_url"]) as client:
            assert client.get("kept") == b"ano"


@pytest.mark.parametrize("user", USERS)
def test_a_parent_killed_with_9_leaves_no_process_and_loses_no_commit(home, user):
    with stack(home, user) as (parent, first):
        execute(first["database_url"], "CREATE TABLE kept AS SELECT 7 AS number")
        assert len(processes_about(home)) > 2

        parent.kill()

        wait_until(lambda: not processes_about(home))

    with stack(home, user) as (_, second):
        assert execute(second["database_url"], "SELECT number FROM kept") == 7


def test_servers_that_are_killed_under_the_supervisor_come_back_with_their_data(home):
    with stack(home, how="supervised") as (supervisor, found):
        execute(found["database_url"], "CREATE TABLE kept AS SELECT 7 AS number")
        first = server_pids(home)
        for pid in first.values():
            os.kill(pid, signal.SIGKILL)

        wait_until(lambda: server_pids(home).keys() == first.keys())
        wait_until(lambda: serves(found["database_url"]))

        assert execute(found["database_url"], "SELECT number FROM kept") == 7
        with redis.Redis.from_url(found["redis_url"]) as client:
            wait_until(lambda: client.ping())

        supervisor.kill()
        wait_until(lambda: not processes_about(home))


def test_a_start_right_after_the_kill_waits_for_what_still_runs(home):
    with stack(home) as (parent, first):
        execute(first["database_url"], "CREATE TABLE kept AS SELECT 7 AS number")
        parent.kill()
        parent.wait()

    with stack(home) as (_, second):
        assert execute(second["database_url"], "SELECT number FROM kept") == 7


def test_a_database_server_killed_with_9_recovers_at_its_next_start(home):
    server = postgres_in(home)
    server.start()
    execute(server.url, "CREATE TABLE kept AS SELECT 7 AS number")

    server.kill()
    assert (server.directory / "postmaster.pid").exists()
    server.start()

    try:
        assert execute(server.url, "SELECT number FROM kept") == 7
    finally:
        server.stop()


def test_a_pid_file_that_names_an_innocent_process_is_no_hindrance(home):
    server = postgres_in(home)
    server.start()
    server.kill()
    pid_file = server.directory / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"], user=pid_file.stat().st_uid) as innocent:
        _, rest = pid_file.read_text().split("\n", 1)
        pid_file.write_text(f"{innocent.pid}\n{rest}")

        server.start()
        server.stop()

        assert innocent.poll() is None
        innocent.kill()


def test_a_database_of_another_version_is_refused_and_left_untouched(home):
    server = postgres_in(home)
    server.prepare()
    (server.directory / "PG_VERSION").write_text("17\n")
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in server.directory.rglob("*")}

    with pytest.raises(WrongVersion, match=r"PostgreSQL 17.*kadencia backup"):
        server.start()

    assert server.pid is None
    assert before == {
        p: (p.stat().st_mtime_ns, p.stat().st_size) for p in server.directory.rglob("*")
    }


def test_files_that_are_no_database_are_refused_and_kept(home):
    server = postgres_in(home)
    server.data.prepare()
    server.directory.mkdir()
    (server.directory / "letters.txt").write_text("mine")

    with pytest.raises(DirectoryUnfit, match="holds no PostgreSQL database"):
        server.start()

    assert (server.directory / "letters.txt").read_text() == "mine"


def test_a_first_start_that_was_cut_short_leaves_nothing_half_done(home):
    server = postgres_in(home)
    server.data.prepare()
    half = server.directory.with_name("postgres.half")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    server.start()
    server.stop()

    assert not half.exists()
    assert not server.directory.with_name("postgres.initial").exists()


@pytest.mark.parametrize("kind", [postgres_in, lambda home: EmbeddedValkey(DataDirectory(home))])
def test_a_port_that_somebody_else_took_is_exchanged_for_another(home, kind):
    server = kind(home / "data")
    server.start()
    server.stop()
    before = server.port
    with socket.create_server(("127.0.0.1", before)):
        server.start()
        server.stop()

    assert server.port != before
    assert f":{server.port}/" in server.url


def test_the_servers_never_run_as_root(home):
    with stack(home) as (_, found):
        expected = pwd.getpwnam("nobody").pw_uid if ROOT else os.geteuid()
        assert uid_of(found["postgres"]) == uid_of(found["valkey"]) == expected


def test_no_password_stands_on_a_command_line_or_in_a_representation(home):
    with stack(home) as (_, found):
        secrets = [found[url].split(":")[2].split("@")[0] for url in ("database_url", "redis_url")]
        lines = processes_about(home).values()
        assert not any(secret in line for secret in secrets for line in lines)
    assert not any(secret in repr(postgres_in(home).spec()) for secret in secrets)


def test_other_users_of_the_machine_read_nothing_but_port_numbers(home):
    with stack(home):
        readable = {p.name for p in (home / "data").iterdir() if p.stat().st_mode & 0o044}
        assert readable <= {"postgres.port", "valkey.port"}


def test_who_does_not_know_the_password_is_not_let_in(home):
    with stack(home) as (_, found):
        wrong = found["database_url"].replace(":", ":x", 2).replace("postgresql:x", "postgresql:")
        with pytest.raises(OperationalError, match="password authentication failed"):
            execute(wrong, "SELECT 1")
        with (
            redis.Redis.from_url(found["redis_url"].replace("//:", "//:x")) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()


@only_root
def test_binaries_in_a_closed_place_are_copied_once(home):
    closed = home / "closed"
    package = binaries_directory().parents[1]
    shutil.copytree(package, closed / package.name)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, closed / libraries.name)
    closed.chmod(0o700)
    server = postgres_in(home, binaries=closed / package.name / "pginstall" / "bin")

    server.start()
    assert execute(server.url, "SELECT 1") == 1
    server.stop()

    assert home / "data" in server.binaries.parents
    copied_at = server.binaries.stat().st_mtime_ns
    server.prepare()
    assert server.binaries.stat().st_mtime_ns == copied_at


@only_root
def test_a_data_directory_behind_a_closed_door_is_an_error_in_words(home):
    home.chmod(0o700)
    with pytest.raises(DirectoryUnfit, match=r"reached by the user nobody.*KADENCIA_DATA"):
        postgres_in(home).start()


def test_a_server_that_does_not_start_leaves_its_last_words(home):
    server = EmbeddedPostgres(DataDirectory(home / "data"), settings={"shared_buffers": "-1"})
    with pytest.raises(NotReady, match=r"exit code 1; its last words: .*shared_buffers"):
        server.start()


def test_a_program_that_fails_is_an_error_with_its_words(home):
    with pytest.raises(CannotRun, match=r"sh failed: sorry"):
        postgres_in(home).run(["/bin/sh", "-c", "echo sorry; exit 3"])


def test_ctrl_c_at_the_terminal_does_not_reach_the_servers(home):
    with stack(home) as (parent, found):
        assert os.getpgid(found["postgres"]) != os.getpgid(parent.pid)
        assert os.getpgid(found["valkey"]) != os.getpgid(parent.pid)
        os.kill(parent.pid, signal.SIGTERM)
