"""What was checked, on disk until it is stored: so what is stored is what was checked."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Generic

from worker.enqueueing.sheet import AnItem, Sheet


class Spool(Generic[AnItem]):
    """Batches of items in an unnamed file, which goes with the process; read in their order.

    Args:
        sheet: packs the items.
    """

    def __init__(self, sheet: Sheet[AnItem]) -> None:
        self._sheet = sheet
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  closed below

    def __enter__(self) -> Spool[AnItem]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, items: Sequence[AnItem]) -> None:
        """Write a batch."""
        self._file.write(json.dumps([self._sheet.pack(one) for one in items]) + "\n")

    def batches(self) -> Iterator[list[AnItem]]:
        """Every batch, as it was written but for the cells, which only a bad row needs."""
        self._file.seek(0)
        for line in self._file:
            yield [self._sheet.unpack(one) for one in json.loads(line)]
