"""The units of systemd are well formed, and stop us as we must be stopped."""

from __future__ import annotations

import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from settings import load
from worker.fleet.worker import GRACE_SECONDS

UNITS = sorted((Path(__file__).parents[2] / "deploy" / "systemd").glob("*.service"))

SENDING = [unit for unit in UNITS if not unit.stem.endswith(("beat", "push"))]


def read(unit):
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(unit, encoding="utf-8")
    return parser["Service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_stop_reaches_the_supervisor_alone(unit):
    assert read(unit)["KillMode"] == "mixed"


@pytest.mark.parametrize("unit", SENDING, ids=lambda unit: unit.name)
def test_a_stop_waits_for_the_longest_hand_over(unit):
    longest = load({}).handover_max_seconds + GRACE_SECONDS

    assert float(read(unit)["TimeoutStopSec"]) > longest


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_finds_no_fault(unit, tmp_path):
    here = {"/opt/kadencia/.venv/bin/kadencia": sys.executable, "User=kadencia": "User=daemon"}
    text = unit.read_text(encoding="utf-8")
    for theirs, ours in here.items():
        text = text.replace(theirs, ours)
    copy = tmp_path / unit.name.replace("@.", "@main.")
    copy.write_text(text, encoding="utf-8")

    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False
    )

    assert copy.name not in done.stderr, done.stderr
