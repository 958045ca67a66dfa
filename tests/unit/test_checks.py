"""The checks of the repository find what they are there to find."""

from __future__ import annotations

import pytest

from tools.check_lock import complaints
from tools.check_sizes import FUNCTION_LINES_MAX, long_functions

PROJECT = """
[project]
dependencies = ["Some_Thing>=2", "kombu[redis]==5.7.0"]
[project.optional-dependencies]
dev = ["pytest>=9"]
"""
LOCK = """
kombu==5.7.0 \\
    --hash=sha256:00
    # via kadencia (pyproject.toml)
pytest==9.2.0 ; python_version > '3.10' \\
    --hash=sha256:00
some-thing==2.1
"""


def test_a_lock_that_pins_all_is_passed():
    assert complaints(PROJECT, LOCK) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(("pytest==9.2.0", "pytest-x==9.2.0"), "pytest is not pinned", id="missing"),
        pytest.param(("some-thing==2.1", "some-thing==1.9"), "is pinned at 1.9", id="too old"),
        pytest.param(("\nsome", "\n--index-url x\nsome"), "names a host", id="an index"),
        pytest.param(("\nsome", "\n# from a.example.org\nsome"), "names a host", id="a host"),
        pytest.param(("\nsome", "\nx @ file:x\nsome"), "names a host", id="an address"),
    ],
)
def test_a_lock_that_is_out_of_step_or_names_a_host_is_refused(change, words):
    (found,) = complaints(PROJECT, LOCK.replace(*change))

    assert words in found


def test_a_long_function_is_found_and_its_docstring_forgiven():
    body = "    x = 1\n" * (FUNCTION_LINES_MAX - 1)
    text = '    """' + "Why.\n" * 20 + '    """\n'

    assert list(long_functions(f"def short():\n{text}{body}")) == []
    assert list(long_functions(f"async def long():\n{body}    x = 2\n")) == [("long", 41)]
