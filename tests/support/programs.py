"""Programs of Debian's packages that some tests need."""

from __future__ import annotations

import os
import shutil

import pytest

SYSTEM_PATHS = f"{os.environ['PATH']}:/usr/sbin:/usr/lib/rabbitmq/bin:/usr/lib/postgresql/15/bin"


def program(name: str, package: str) -> str:
    """The path of a program of a Debian package; skips the test without it, or fails it in CI."""
    found = shutil.which(name, path=SYSTEM_PATHS)
    if found is None:
        words = f"{name} is missing; install Debian's package {package}"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return found
