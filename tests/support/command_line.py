"""The command line, run within the test's own process."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from worker import cli
from worker.cli import context


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What was printed, read as JSON."""
        return json.loads(self.out)


class CommandLine:
    """Runs `kadencia` commands on a test's own servers.

    Args:
        directory: of the test's own, for its data and keys.
        environ: DATABASE_URL and whatever else the commands shall find.
    """

    def __init__(self, directory: Path, **environ: str) -> None:
        outside = {k: v for k, v in os.environ.items() if not k.startswith("KADENCIA_")}
        self.environ = {**outside, "KADENCIA_DATA": str(directory), **environ}

    def __call__(self, *arguments: str, stdin: str = "") -> Ended:
        """Run one command, as on a host of its own: nothing is remembered from the last."""
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environ, clear=True),
            mock.patch("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), "utf-8")),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            try:
                code = cli.execute(arguments)
            finally:
                self._forget()
        return Ended(code, out.getvalue(), err.getvalue())

    def done(self, *arguments: str, stdin: str = "") -> Ended:
        """Run one command that must succeed."""
        ended = self(*arguments, stdin=stdin)
        assert ended.code == 0, ended.err
        return ended

    def _forget(self) -> None:
        if context.engine.cache_info().currsize:
            context.engine().dispose()
        context.engine.cache_clear()
        context.settings.cache_clear()
