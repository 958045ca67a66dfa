"""NDJSON, line by line, in little memory: groups of lines coming in, answers going out."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

MEMORY_OCTETS = 256 * 1024
"""Chosen: answers that nobody has read yet, before they go to a file."""
READ_OCTETS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank, counted from 1; `octets` is None if it is too long."""

    number: int
    octets: bytes | None = field(repr=False)


class Splitter:
    r"""Cuts a stream into lines; of one that is too long it keeps nothing.

    Args:
        most: octets of a line.

    >>> cut = Splitter(most=5)
    >>> list(cut.feed(b"abc\n\nde")), list(cut.feed(b"f\r\n123456\n7")), list(cut.end())
    ([Line(number=1)], [Line(number=3), Line(number=4)], [Line(number=5)])
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = bytearray()
        self._too_long = False
        self.number = 1

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in this chunk."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            yield from self._line(chunk[start:end])
            start = end + 1
            self.number += 1
        self._keep(chunk[start:])

    def end(self) -> Iterator[Line]:
        """The last line, if it has no line feed."""
        yield from self._line(b"")

    def _line(self, rest: bytes) -> Iterator[Line]:
        self._keep(rest)
        if self._too_long:
            yield Line(self.number, None)
        elif not self._kept.isspace() and self._kept:
            yield Line(self.number, bytes(self._kept))
        self._kept, self._too_long = bytearray(), False

    def _keep(self, rest: bytes) -> None:
        if self._too_long or len(self._kept) + len(rest) > self._most:
            self._too_long = True
            self._kept.clear()
        else:
            self._kept += rest


async def grouped(
    stream: AsyncIterator[bytes], splitter: Splitter, lines: int, octets: int
) -> AsyncIterator[list[Line]]:
    """Lines in groups.

    Args:
        stream: chunks as they come in.
        splitter: cuts them.
        lines: the most of a group.
        octets: a group ends with the line that reaches so many.
    """
    group: list[Line] = []
    size = 0
    async for chunk in stream:
        for line in splitter.feed(chunk):
            group.append(line)
            size += len(line.octets or b"")
            if len(group) >= lines or size >= octets:
                yield group
                group, size = [], 0
    group += splitter.end()
    if group:
        yield group


class Answers:
    """What is answered, kept until it is read, however slowly: in memory, then in a file.

    Whoever hands in may do so to the end before reading a single answer. Were the answers not
    kept, both sides would wait for each other once the buffers between them are full.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(MEMORY_OCTETS)  # noqa: SIM115  closed below
        self._written = 0
        self._changed = asyncio.Event()
        self._ended = False

    def add(self, octets: bytes) -> None:
        """Put answers at the end."""
        self._file.seek(self._written)
        self._file.write(octets)
        self._written += len(octets)
        self._changed.set()

    def end(self) -> None:
        """No more answers will come."""
        self._ended = True
        self._changed.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """All answers from the first on, as they come."""
        read = 0
        while True:
            self._changed.clear()
            while read < self._written:
                self._file.seek(read)
                chunk = self._file.read(READ_OCTETS)
                read += len(chunk)
                yield chunk
            if self._ended:
                return
            await self._changed.wait()

    def close(self) -> None:
        """Let go of them."""
        self._file.close()
