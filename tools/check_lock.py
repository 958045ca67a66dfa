"""Check that requirements.lock pins what pyproject.toml asks for, and names no host."""

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


def complaints(project: str, lock: str) -> list[str]:
    """What is wrong with a lock file, a line for each fault.

    Args:
        project: text of pyproject.toml.
        lock: text of requirements.lock.
    """
    table = tomllib.loads(project)["project"]
    wanted = list(chain(table["dependencies"], *table.get("optional-dependencies", {}).values()))
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
    texts = [(root / name).read_text() for name in ("pyproject.toml", "requirements.lock")]
    sys.exit("\n".join(complaints(*texts)) or 0)
