"""The data directory: its lock, endpoints and secrets."""

from __future__ import annotations

import os
import pickle
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from worker.embedded import errors
from worker.embedded.directory import DataDirectory, read_endpoints

HOLDER = """
import sys, time
from pathlib import Path
from worker.embedded.directory import DataDirectory
data = DataDirectory(Path(sys.argv[1]))
with data.lock():
    data.write_endpoints({"database_url": "postgresql://there"})
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_second_holder_is_told_who_the_first_is(tmp_path, holder):
    with (
        pytest.raises(errors.DirectoryInUse, match=f"process {holder.pid}") as caught,
        DataDirectory(tmp_path / "data").lock(),
    ):
        pass
    assert "KADENCIA_DATA" in str(caught.value)


def test_a_holder_that_was_killed_is_no_hindrance_and_its_endpoints_count_no_more(tmp_path, holder):
    path = tmp_path / "data"
    assert read_endpoints(path) == {"database_url": "postgresql://there"}

    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()

    assert (path / "endpoints.json").exists()
    assert read_endpoints(path) is None
    with DataDirectory(path).lock():
        assert read_endpoints(path) is None
        assert (path / "lock").read_text() == f"{os.getpid()}\n"


def test_endpoints_are_gone_after_an_ordered_stop(tmp_path):
    data = DataDirectory(tmp_path / "data")
    with data.lock():
        data.write_endpoints({"redis_url": "redis://there"})
        assert read_endpoints(data.path) == {"redis_url": "redis://there"}
    assert not (data.path / "endpoints.json").exists()
    assert read_endpoints(data.path) is None


def test_where_nothing_was_ever_started_there_are_no_endpoints(tmp_path):
    assert read_endpoints(tmp_path / "none") is None


def test_reading_endpoints_does_not_disturb_one_who_takes_the_lock(tmp_path):
    data = DataDirectory(tmp_path / "data")
    data.prepare()
    for _ in range(50):
        with data.lock():
            pass
        read_endpoints(data.path)


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path):
    data = DataDirectory(tmp_path / "data")
    with data.lock():
        data.write_endpoints({})
        first = data.secret("postgres")
        keys = data.ensure_keys()

        assert DataDirectory(data.path).secret("postgres") == first
        assert data.secret("valkey") != first
        assert data.ensure_keys().read_text() == keys.read_text()
        Fernet(keys.read_text().strip())
        assert {p.name for p in data.path.iterdir() if mode(p) != 0o600} == set()
    assert mode(data.path) == (0o711 if os.geteuid() == 0 else 0o700)


def test_a_directory_with_other_files_is_refused_and_left_as_it_was(tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    before = mode(tmp_path)

    with (
        pytest.raises(errors.DirectoryUnfit, match="holds other files"),
        DataDirectory(tmp_path).lock(),
    ):
        pass

    assert [p.name for p in tmp_path.iterdir()] == ["letters.txt"]
    assert mode(tmp_path) == before


def test_a_file_in_place_of_the_directory_is_an_error_in_words(tmp_path):
    (tmp_path / "data").write_text("")
    with pytest.raises(errors.DirectoryUnfit, match="cannot be used as the data directory"):
        DataDirectory(tmp_path / "data").prepare()


@pytest.mark.parametrize(
    "error",
    [
        errors.DirectoryInUse("/var/lib/kadencia", 17),
        errors.DirectoryUnfit("no room"),
        errors.WrongVersion("/var/lib/kadencia/postgres", "17", "18"),
        errors.CannotRun("no nobody"),
        errors.NotReady("valkey", "refused"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_out_of_pickling_as_it_went_in(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)
