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

    Attributes:
        before: the events that it found in the file.

    Raises:
        OSError: the file cannot be used.
        ValueError: it holds something else; it is left as it was.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: int | None = None
        self.before: list[Event] = []
        if path is not None:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            octets = path.read_bytes()
            # A kill may have torn the line after the last one that has its end.
            whole = octets.rfind(b"\n") + 1
            self.before = list(_events(octets[:whole], path))
            if octets[whole:] and not octets[whole:].startswith(b"{"):
                raise ValueError(f"the end of {path} is not an emulator's")
            os.ftruncate(self._file, whole)

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


def _events(octets: bytes, path: Path) -> Iterator[Event]:
    for number, line in enumerate(octets.splitlines(), start=1):
        try:
            event = json.loads(line)
            if not {"event", "at"} <= event.keys():
                raise ValueError
        except (AttributeError, ValueError):
            raise ValueError(f"line {number} of {path} is not an emulator's") from None
        yield event
