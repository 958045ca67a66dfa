"""The SMTP server's journal, read while it is being written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Journal:
    """The SMTP server's journal, read as far as it has been written."""

    path: Path
    entries: list[dict[str, Any]] = field(default_factory=list)
    _read: int = 0

    def read(self) -> list[dict[str, Any]]:
        """The transactions that have ended and had a final dot, in that order."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                whole, _, _ = file.read().rpartition(b"\n")
            if whole:
                self._read += len(whole) + 1
                new = [json.loads(line) for line in whole.splitlines()]
                self.entries += [one for one in new if one["dot_us"] is not None]
        return self.entries
