"""Another service: a process and a virtual environment of its own that have none of our code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "enqueueing.md"
EXAMPLE = re.compile(r"^<!-- run: (\w+) -->\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples() -> dict[str, str]:
    """The examples of the documentation, as they stand, by their names."""
    return dict(EXAMPLE.findall(DOCUMENT.read_text(encoding="utf-8")))


class Elsewhere:
    """A virtual environment with the libraries that we have, but without Kadencia.

    Args:
        directory: where it is made.
        client: whether the source of the client is on its path.
    """

    def __init__(self, directory: Path, *, client: bool = False) -> None:
        venv.create(directory, with_pip=False, symlinks=True)
        self.directory = directory
        self.python = directory / "bin" / "python"
        # A path file in a directory that a path file names is not read: ours stays out.
        places = [sysconfig.get_path("purelib"), *([str(ROOT / "client")] if client else [])]
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        site = directory / "lib" / version / "site-packages"
        (site / "libraries.pth").write_text("".join(f"{one}\n" for one in places))

    def install(self, source: Path) -> None:
        """Install a package from its source, without its dependencies, which are there."""
        # Built from a copy: nothing is left in the checkout.
        copy = self.directory / "source"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet"]
        offline = ["--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
        self._run([*pip, *offline, str(copy)], {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})

    def run(self, program: str, **environment: str) -> str:
        """Run a Python program; returns what it wrote.

        Raises:
            AssertionError: it failed; with what it wrote on standard error.
        """
        return self._run([str(self.python), "-W", "error", "-c", program], environment)

    def shell(self, script: str, **environment: str) -> str:
        """Run a script of the shell, as `run`."""
        return self._run(["/bin/sh", "-euc", script], environment)

    def _run(self, argv: list[str], environment: dict[str, str]) -> str:
        found = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "LANG": "C.UTF-8"}
        done = subprocess.run(
            argv, env={**found, **environment}, cwd=self.directory, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
