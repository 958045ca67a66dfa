"""What must stay true of the repository as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from beat_schedule import SCHEDULE
from settings.names import ROUTES, Task
from tools import check_lock, check_sizes

ROOT = Path(__file__).parents[2]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

# Put together here, or this file would be the first to fail.
FORBIDDEN = {
    "a host of a package registry": "|".join(
        rf"\b{name}\.{end}\b"
        for name, end in [
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("npmjs", "org"),
            ("npmjs", "com"),
            ("yarnpkg", "com"),
        ]
    ),
    "work put off": r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
    "a path of one machine": r"(?<![\w.])/(?:wo" + r"rk|ro" + r"ot)/\w",
}


def tracked() -> Iterator[tuple[str, str]]:
    """Name and text of each text file that git tracks."""
    # The checkout may belong to another user than the one who runs the tests.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (octets := path.read_bytes()):
            yield name, octets.decode()


def dependencies() -> list[str]:
    """The names in pyproject.toml, of the product's own dependencies and of every extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *chain.from_iterable(extras)]
    return sorted(Requirement(line).name for line in wanted)


def imported(source: str) -> set[str]:
    """Modules that a source imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")
    return found


def calls(source: str) -> Iterator[ast.Call]:
    """All calls in a source."""
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))


def task_names(nodes: Iterable[ast.expr]) -> Iterator[Task]:
    """Those of the expressions that name a task, as in `Task.SEND`."""
    for node in nodes:
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Task":
            yield Task[node.attr]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_holds(what):
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, text in tracked()
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(FORBIDDEN[what], line)
    ]

    assert found == []


def test_no_file_or_function_of_the_product_has_grown_out_of_hand():
    assert check_sizes.complaints(ROOT) == []


def test_the_beat_table_imports_nothing_that_could_connect():
    for module in imported((ROOT / "beat_schedule.py").read_text()):
        assert module == "settings.names" or module.split(".")[0] in sys.stdlib_module_names


def test_the_names_of_tasks_and_queues_depend_on_nothing():
    for module in imported((ROOT / "settings" / "names.py").read_text()):
        assert module.split(".")[0] in sys.stdlib_module_names


def test_beat_names_only_tasks_that_have_a_route():
    for name, entry in SCHEDULE.items():
        assert entry["task"] in set(Task), name
        assert entry["task"] in ROUTES, name


def test_every_task_is_registered_once():
    registered = [
        name
        for call in calls((ROOT / "worker" / "tasks.py").read_text())
        for name in task_names(keyword.value for keyword in call.keywords if keyword.arg == "name")
    ]

    assert sorted(registered) == sorted(Task)


def test_every_task_has_a_route_or_is_sent_to_a_queue_of_its_server():
    published = [
        (name, {keyword.arg for keyword in call.keywords})
        for path in (ROOT / "worker").rglob("*.py")
        for call in calls(path.read_text())
        for name in task_names(call.args[:1])
    ]

    addressed = {name for name, keywords in published if "queue" in keywords}
    assert {name for name, _ in published} - addressed <= set(ROUTES)
    assert addressed | set(ROUTES) == set(Task)


def test_every_document_links_to_what_exists():
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\(([^)#\s]+)", document.read_text())
        if "://" not in target and not target.startswith("mailto:")
        if not (document.parent / target).exists()
    ]

    assert broken == []


def test_decisions_are_numbered_without_gaps_and_headed_by_their_number():
    numbers = [int(path.name[:4]) for path in DECISIONS]

    assert numbers == list(range(1, len(DECISIONS) + 1))
    for number, path in zip(numbers, DECISIONS, strict=True):
        assert path.read_text().startswith(f"# {number}. "), path.name


def test_every_dependency_has_its_reason():
    reasons = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text()

    assert sorted(re.findall(r"^- \*\*([\w-]+)\*\*: \w", reasons, re.MULTILINE)) == dependencies()


def test_the_lock_file_pins_every_dependency_and_names_no_host():
    names = ("pyproject.toml", "requirements.lock", "requirements-checks.lock")
    project, lock, checks = [(ROOT / name).read_text() for name in names]

    assert check_lock.complaints(project, lock, without=check_lock.CHECKS) == []
    assert check_lock.complaints(project, checks) == []
