"""How `kadencia up` starts the product's processes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from settings import load
from worker.embedded.directory import DataDirectory
from worker.embedded.processes import ProcessSpec
from worker.fleet.up import Addresses, Options, environment, product_specs

ADDRESSES = Addresses(
    "postgresql://kadencia:tajne1@127.0.0.1:20001/kadencia",
    "redis://:tajne2@127.0.0.1:20002/0",
    flower_port=20003,
)


def specs(path: Path, addresses: Addresses = ADDRESSES, **variables: str) -> dict[str, ProcessSpec]:
    data = DataDirectory(path)
    data.prepare()
    found = product_specs(load(variables), data, variables, Options(processes=7), addresses)
    return {one.name: one for one in found}


def test_beat_a_worker_and_flower_start_in_this_order(tmp_path):
    found = specs(tmp_path)

    assert list(found) == ["beat", "worker", "flower"]
    assert found["worker"].argv[-6:] == (
        *("--server", "local", "--queues", "email,eurosms"),
        *("--processes", "7"),
    )


def test_no_password_is_among_the_arguments_or_shown(tmp_path):
    found = specs(tmp_path)
    passwords = ["tajne1", "tajne2", (tmp_path / "flower.password").read_text().strip()]

    for spec in found.values():
        assert [one for one in passwords if one in " ".join(spec.argv) + repr(spec)] == []
    assert [one for one in passwords if one in repr(ADDRESSES)] == []


def test_without_flower_none_is_started_and_none_is_announced(tmp_path):
    addresses = Addresses(ADDRESSES.database_url, ADDRESSES.redis_url)

    assert list(specs(tmp_path, addresses)) == ["beat", "worker"]
    assert "flower_url" not in addresses.as_endpoints()


def test_the_processes_see_one_address_of_each_server_whatever_it_was_called(tmp_path):
    ours = {
        "KADENCIA_DATABASE_URL": "postgresql://other.example/kadencia",
        "KADENCIA_REDIS_URL": "redis://other.example/0",
        "KADENCIA_BURST_SECONDS": "5",
        "LANG": "sk_SK.UTF-8",
    }

    seen = environment(ours, tmp_path, Options(log_format="json"), ADDRESSES)

    found = load(seen)
    assert found.require_database_url() == ADDRESSES.database_url
    assert found.require_redis_url() == ADDRESSES.redis_url
    assert (found.burst_seconds, found.log_format, found.data) == (5, "json", tmp_path)
    assert seen["LANG"] == "sk_SK.UTF-8"


@pytest.mark.parametrize(
    ("variables", "death_signal"),
    [
        pytest.param({}, signal.SIGKILL, id="whose database dies as well, cannot record an answer"),
        pytest.param(
            {"DATABASE_URL": "postgresql://db.example/kadencia"},
            signal.SIGTERM,
            id="whose database lives on, finishes what it is sending",
        ),
    ],
)
def test_a_worker_that_loses_its_parent(tmp_path, variables, death_signal):
    assert specs(tmp_path, **variables)["worker"].death_signal is death_signal


def test_a_worker_is_given_the_time_of_the_longest_hand_over_to_stop(tmp_path):
    assert specs(tmp_path)["worker"].stop_seconds > load({}).handover_max_seconds + 60
