"""The protocol as a Promela model, explored in full by Spin (packages `spin` and `gcc`)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("protocol.pml")

pytestmark = pytest.mark.skipif(
    not (shutil.which("spin") and shutil.which("gcc")),
    reason="spin or gcc is not installed: apt-get install spin gcc",
)


def errors(folder: Path, *defines: str) -> tuple[int, int]:
    """How many errors Spin finds in the model with these macros, and in how many states."""

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout

    run("spin", "-a", *(f"-D{one}" for one in defines), str(MODEL))
    run("gcc", "-w", "-O2", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=2000", "-o", "pan", "pan.c")
    told = run("./pan", "-E", "-m100000")
    found, states = re.search(r"errors: (\d+)", told), re.search(r"(\d+) states, stored", told)
    assert found is not None
    assert states is not None
    if found.group(1) == "0":
        assert "Search not completed" not in told
    return int(found.group(1)), int(states.group(1))


def test_no_order_of_steps_breaks_the_protocol(tmp_path):
    found, states = errors(tmp_path)

    assert found == 0
    assert states > 1_000_000


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("defines", [("END=6",), ("LIMIT=2",)], ids=["for longer", "two at a time"])
def test_no_order_of_steps_breaks_a_larger_protocol(defines, tmp_path):
    assert errors(tmp_path, *defines)[0] == 0


@pytest.mark.parametrize(
    "defines",
    [
        pytest.param(("FAULT_CONFIRM",), id="confirm before the dot", marks=pytest.mark.slow),
        pytest.param(("FAULT_SCORE",), id="score without handover_max"),
        pytest.param(("FAULT_ATTEMPT",), id="attempt opened only at settle"),
        pytest.param(
            ("FAULT_EPOCH",), id="a log that was lost is taken for whole", marks=pytest.mark.slow
        ),
        pytest.param(("FAULT_REFUND",), id="refund after MAIL", marks=pytest.mark.slow),
        pytest.param(
            ("FAULT_UNKNOWN",), id="an unknown is taken for not sent", marks=pytest.mark.slow
        ),
        pytest.param(
            ("FAULT_GUARD", "LIMIT=2"), id="settle without its guard", marks=pytest.mark.slow
        ),
    ],
)
def test_spin_finds_a_planted_fault(defines, tmp_path):
    assert errors(tmp_path, *defines)[0] == 1
