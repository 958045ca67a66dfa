"""How `kadencia up` starts the product's processes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from settings import load
from worker.embedded.directory import DataDirectory
from worker.embedded.processes import ProcessSpec
from worker.fleet.product import (
    Addresses,
    Options,
    choose_ports,
    environment,
    product_specs,
)

ADDRESSES = Addresses(
    "postgresql://kadencia:tajne1@127.0.0.1:20001/kadencia",
    "redis://:tajne2@127.0.0.1:20002/0",
    {"api": 20003, "metrics": 20004, "flower": 20005},
)


def specs(path: Path, addresses: Addresses = ADDRESSES, **variables: str) -> dict[str, ProcessSpec]:
    data = DataDirectory(path)
    data.prepare()
    found = product_specs(load(variables), data, variables, Options(processes=7), addresses)
    return {one.name: one for one in found}


def test_beat_a_worker_and_what_listens_start_in_this_order(tmp_path):
    found = specs(tmp_path)

    assert list(found) == ["beat", "worker", "api", "metrics", "flower"]
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


def test_what_is_not_wanted_is_neither_started_nor_announced(tmp_path):
    addresses = Addresses(ADDRESSES.database_url, ADDRESSES.redis_url, {"api": 20003})

    assert list(specs(tmp_path, addresses)) == ["beat", "worker", "api"]
    assert addresses.as_endpoints().keys() == {"database_url", "redis_url", "api_url"}
    assert addresses.url("flower") is None


def test_what_listens_does_so_on_loopback_alone(tmp_path):
    found = specs(tmp_path)

    assert [found[name].argv[-4:] for name in ("api", "flower")] == [
        ("--host", "127.0.0.1", "--port", "20003"),
        ("--host", "127.0.0.1", "--port", "20005"),
    ]


def test_the_api_listens_where_it_is_told_to_and_else_where_it_did_before(tmp_path):
    data = DataDirectory(tmp_path)
    data.prepare()

    first = choose_ports(data, Options())

    assert choose_ports(data, Options()) == first
    assert choose_ports(data, Options(api_port=8080)) == first | {"api": 8080}


def test_flower_gets_the_password_that_was_set_or_one_that_is_made(tmp_path):
    made = specs(tmp_path)["flower"].env["KADENCIA_FLOWER_PASSWORD"]
    given = specs(tmp_path, KADENCIA_FLOWER_PASSWORD="zadane-heslo")["flower"].env

    assert made == (tmp_path / "flower.password").read_text().strip()
    assert given["KADENCIA_FLOWER_PASSWORD"] == "zadane-heslo"


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
