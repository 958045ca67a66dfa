"""`kadencia up`: the whole product on one machine, as a person starts and stops it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests

from tests.support.installation import PATIENCE_SECONDS, Installation
from tests.support.process_table import wait_until
from tests.support.services import Services, service_directory
from worker.embedded.directory import read_endpoints

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with service_directory() as directory:
        made = Installation(directory)
        try:
            made.up()
            yield made
        finally:
            made.end()


def test_all_of_it_starts_and_the_doctor_finds_nothing_wrong(installation):
    wait_until(lambda: installation.doctor()["healthy"], PATIENCE_SECONDS)

    found = installation.doctor()["findings"]
    assert isinstance(found, list)
    assert {one["level"] for one in found} == {"ok"}
    assert {"database", "redis", "OAC server local", "canaries", "keys"} <= {
        one["name"] for one in found
    }


def test_flower_lets_in_only_who_knows_the_password_and_changes_nothing(installation):
    url = installation.endpoint("flower_url")
    password = (installation.data / "flower.password").read_text().strip()

    log_in = ("kadencia", password)

    def answers() -> bool:
        with suppress(requests.ConnectionError):
            return requests.get(f"{url}/healthcheck", auth=log_in, timeout=5).ok
        return False

    wait_until(answers, PATIENCE_SECONDS)
    assert requests.get(f"{url}/workers", timeout=5).status_code == 401
    assert requests.get(f"{url}/", auth=log_in, timeout=5).status_code == 200
    stop = f"{url}/api/worker/shutdown/any"
    assert requests.post(stop, auth=log_in, timeout=5).status_code == 404


def test_no_password_is_on_a_command_line_or_in_the_log(installation):
    passwords = [file.read_text().strip() for file in installation.data.glob("*.password")]
    assert len(passwords) == 3

    told = "\n".join([*installation.processes().values(), installation.lines()])
    told += (installation.command("doctor")).stdout

    assert [password for password in passwords if password in told] == []


def test_a_second_one_on_the_same_data_is_refused(installation):
    second = installation.command("up")

    assert second.returncode == 1
    assert f"is in use by process {installation.process.pid}; stop it first" in second.stderr
    assert installation.process.poll() is None


def test_a_process_that_is_killed_starts_again(installation):
    first = installation.pid_of("worker beat")

    os.kill(first, signal.SIGKILL)

    assert "Kadencia is running" in installation.lines()
    wait_until(lambda: installation.pid_of("worker beat") not in (None, first), PATIENCE_SECONDS)
    assert "beat ended, killed by SIGKILL; again in" in installation.lines()


def test_what_a_killed_worker_leaves_behind_ends_and_another_takes_its_place(installation):
    first = installation.pid_of("worker worker")
    below = {installation.pid_of(f"-n {part}.local") for part in ("send", "control")}
    assert None not in below

    os.kill(first, signal.SIGKILL)

    wait_until(lambda: not below & installation.processes().keys(), PATIENCE_SECONDS)
    wait_until(lambda: installation.pid_of("-n send.local"), PATIENCE_SECONDS)


def test_sigterm_ends_all_in_order_and_the_data_survive(installation):
    installation.execute(
        "INSERT INTO company (name, domain) VALUES ('Skúšobná firma', 'firma.example')"
    )

    assert installation.send(signal.SIGTERM) == 0
    assert not installation.processes()
    assert read_endpoints(installation.data) is None

    installation.up("--no-api", "--no-metrics", "--no-flower")  # nobody asks them any more
    assert installation.execute("SELECT name FROM company") == ["Skúšobná firma"]


def test_kill_9_leaves_no_orphan_and_no_lock(installation):
    installation.send(signal.SIGKILL)

    wait_until(lambda: not installation.processes(), PATIENCE_SECONDS)
    saved = installation.command("backup", str(installation.data.parent / "saved.tar"))
    assert saved.returncode == 0, saved.stderr
    assert not installation.processes()


def test_with_servers_of_ones_own_only_the_product_is_started(services: Services):
    with service_directory() as directory:
        installation = Installation(directory)
        url = services.empty_database()
        try:
            installation.up(
                *("--no-api", "--no-metrics", "--no-flower", "--log-format", "json"),
                DATABASE_URL=url,
                REDIS_URL=services.valkey_url(15),
            )
            assert installation.endpoint("database_url") == url
            assert not (installation.data / "postgres").exists()
            assert not (installation.data / "valkey").exists()

            assert installation.send(signal.SIGTERM) == 0
            lines = [json.loads(line) for line in installation.lines().splitlines()]
            assert {line["process"].split("/")[0] for line in lines} == {
                *("kadencia", "beat", "worker"),
            }
            nothing = {"api": None, "metrics": None, "flower": None}
            assert {"process": "kadencia", "event": "running", **nothing} in lines
        finally:
            installation.end()
            services.drop_database(url)
