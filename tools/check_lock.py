"""Check that the lock files pin what pyproject.toml asks for, and name no host."""

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
# An address, an option that names an index, or a requirement taken from an address.
_HOST = re.compile(r"://|^\s*-|\s@\s|\b[a-z0-9-]+\.(?:com|dev|eu|io|net|org|sk)\b", re.IGNORECASE)


CHECKS = "checks"
"""The extra that only requirements-checks.lock has."""


def complaints(project: str, lock: str, *, without: str = "") -> list[str]:
    """What is wrong with a lock file, a line for each fault.

    Args:
        project: text of pyproject.toml.
        lock: text of the lock file.
        without: an extra that it leaves out.
    """
    table = tomllib.loads(project)["project"]
    extras = table.get("optional-dependencies", {}).items()
    asked = [needs for extra, needs in extras if extra != without]
    wanted = list(chain(table["dependencies"], *asked))
    pins = {canonicalize_name(name): version for name, version in _PIN.findall(lock)}
    found = []
    for requirement in map(Requirement, wanted):
        pinned = pins.get(canonicalize_name(requirement.name))
        if pinned is None:
            found.append(f"{requirement.name} is not pinned; run: make lock")
        elif not requirement.specifier.contains(pinned, prereleases=True):
            found.append(f"{requirement} is pinned at {pinned}; run: make lock")
    for number, line in enumerate(lock.splitlines(), start=1):
        if not line.lstrip().startswith("--hash=sha256:") and _HOST.search(line):
            found.append(f"line {number} names a host or an index; run: make lock")
    return found


if __name__ == "__main__":
    root = Path(__file__).parent.parent
    project = (root / "pyproject.toml").read_text()
    found = complaints(project, (root / "requirements.lock").read_text(), without=CHECKS)
    found += complaints(project, (root / "requirements-checks.lock").read_text())
    sys.exit("\n".join(found) or 0)
