"""How often a key was met, for any number of keys, in little memory."""

from __future__ import annotations

import sqlite3
from types import TracebackType

CACHE_KIB = 8_192  # chosen: what SQLite keeps in memory before it writes to its temporary file


class Occurrences:
    """Counts keys exactly. SQLite keeps them in an unnamed file that goes with the process."""

    def __init__(self) -> None:
        # Closed by whichever thread ends the work; used by one at a time.
        self._table = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._table.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("PRAGMA synchronous = OFF")
        self._table.execute("CREATE TABLE seen (key BLOB PRIMARY KEY, n INTEGER) WITHOUT ROWID")
        self._table.execute("BEGIN")

    def __enter__(self) -> Occurrences:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._table.close()

    def add(self, key: bytes) -> int:
        """How often the key was met before.

        >>> with Occurrences() as seen:
        ...     seen.add(b"a"), seen.add(b"b"), seen.add(b"a")
        (0, 0, 1)
        """
        rows = self._table.execute(
            "INSERT INTO seen VALUES (?, 0) ON CONFLICT DO UPDATE SET n = n + 1 RETURNING n", (key,)
        )
        return int(rows.fetchone()[0])
