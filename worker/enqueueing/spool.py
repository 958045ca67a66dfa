"""What was checked, on disk until it is stored: so what is stored is what was checked."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from types import TracebackType

from worker.enqueueing.sheet import Item
from worker.outbox.inbox import NewRecipient


class Spool:
    """Batches of items in an unnamed file, which goes with the process; read in their order."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  closed below

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, items: Sequence[Item]) -> None:
        """Write a batch."""
        rows = [
            (one.line, one.keyed, *_parts(one.recipient), one.subject, one.fields, *_keys(one))
            for one in items
        ]
        self._file.write(json.dumps(rows) + "\n")

    def batches(self) -> Iterator[list[Item]]:
        """Every batch, as it was written but for the cells, which only a bad row needs."""
        self._file.seek(0)
        for line in self._file:
            yield [
                Item(
                    n, [], keyed, NewRecipient(*parts), subject, fields, key, bytes.fromhex(digest)
                )
                for n, keyed, *parts, subject, fields, key, digest in json.loads(line)
            ]


def _parts(one: NewRecipient) -> tuple[str, str, str, str | None]:
    return one.kind, one.address, one.domain, one.name


def _keys(one: Item) -> tuple[str, str]:
    return one.key, one.digest.hex()
