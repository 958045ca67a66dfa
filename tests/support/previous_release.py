"""The release before this version: its code, as Git has it."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = ROOT / "deploy" / "previous-release"
"""Its tag and its commit, for a clone without tags."""


def previous_release() -> str:
    """The newest tag before HEAD, or the commit that `deploy/previous-release` names.

    Without either in this clone the test is skipped: a checkout may have no history.
    """
    tag = _git("describe", "--tags", "--abbrev=0", "HEAD^")  # a release is not the one before it
    if tag is not None:
        return tag.decode().strip()
    name, commit = NAMED.read_text().split()
    if _git("cat-file", "-e", f"{commit}^{{commit}}") is not None:
        return commit
    pytest.skip(f"this clone lacks the release {name}; run `git fetch --tags --unshallow`")


def unpack(release: str, directory: Path) -> Path:
    """Its files, in a directory of its own; returns that."""
    octets = _git("archive", release)
    assert octets is not None
    with tarfile.open(fileobj=BytesIO(octets)) as tar:
        tar.extractall(directory, filter="data")
    return directory


def files(release: str, directory: str) -> dict[str, str]:
    """Its files directly in a directory, by name."""
    listed = _git("ls-tree", "--name-only", release, f"{directory}/")
    assert listed is not None
    return {Path(path).name: file(release, path) for path in listed.decode().split()}


def file(release: str, path: str) -> str:
    """The text of one of its files."""
    octets = _git("show", f"{release}:{path}")
    assert octets is not None
    return octets.decode()


def named() -> tuple[str, str]:
    """What `deploy/previous-release` says: tag and commit."""
    name, commit = NAMED.read_text().split()
    return name, commit


def commit_of(name: str) -> str | None:
    """The commit of a tag; None where the clone lacks it."""
    found = _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return None if found is None else found.decode().strip()


def _git(*arguments: str) -> bytes | None:
    """What Git answers; None if it fails, as outside a clone."""
    command = ("git", "-c", "safe.directory=*", "-C", str(ROOT), *arguments)
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return done.stdout if done.returncode == 0 else None
