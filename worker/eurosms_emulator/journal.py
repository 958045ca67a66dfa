"""What is written down before it is answered, so that a gateway that is killed goes on after."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]
"""A line of the file. `event` says what happened, `at` when, in seconds since the epoch."""


class Journal:
    """A file of one JSON object a line, appended to; with None for its path it keeps nothing.

    Each event has reached the operating system when `write` returns: it outlives this process,
    not the machine.

    Raises:
        OSError: the file cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: int | None = None
        if path is not None:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            os.ftruncate(self._file, _whole_lines(path))

    def events(self) -> Iterator[Event]:
        """What was written by those before."""
        if self._path is not None:
            with self._path.open(encoding="utf-8") as lines:
                for line in lines:
                    yield json.loads(line)

    def write(self, *events: Event) -> None:
        """Append events, in one piece."""
        if self._file is None or not events:
            return
        rest = "".join(json.dumps(one, ensure_ascii=True) + "\n" for one in events).encode()
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _whole_lines(path: Path) -> int:
    """The octets up to the last line that has its end; a kill may have torn the one after it."""
    return path.read_bytes().rfind(b"\n") + 1
