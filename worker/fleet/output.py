"""The lines of many processes in one stream, each with its process's name."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import IO, Literal, TextIO

LogFormat = Literal["text", "json"]

LINE_BYTES = 64 * 1024
"""Chosen: a longer line is cut in pieces, so that no process can fill our memory."""


def format_line(process: str, line: str, log_format: LogFormat) -> str:
    """One line with the name of its process.

    >>> format_line("beat", "hello", "text")
    'beat | hello'
    >>> format_line("beat", "hello", "json")
    '{"process": "beat", "line": "hello"}'
    >>> format_line("beat", '{"event": "tick"}', "json")
    '{"event": "tick", "process": "beat"}'
    >>> format_line("worker", '{"event": "tick", "process": "send"}', "json")
    '{"event": "tick", "process": "worker/send"}'
    """
    if log_format == "text":
        return f"{process} | {line}"
    with suppress(ValueError):
        entry = json.loads(line)
        if isinstance(entry, dict):
            inner = entry.get("process")  # of a supervisor below this one
            name = f"{process}/{inner}" if inner else process
            return json.dumps({**entry, "process": name}, ensure_ascii=False)
    return json.dumps({"process": process, "line": line}, ensure_ascii=False)


class LineWriter:
    """Writes whole lines; a reader that goes away is no reason to stop anything."""

    def __init__(self, out: TextIO, log_format: LogFormat) -> None:
        self._out = out
        self._format = log_format
        self._gone = False

    def write(self, process: str, *lines: str) -> None:
        """Write lines of one process; blank ones are left out."""
        text = "".join(
            format_line(process, line.rstrip(), self._format) + "\n"
            for line in lines
            if line.strip()
        )
        if not text or self._gone:
            return
        try:
            self._write(text)
        except (OSError, ValueError):  # a closed pipe, terminal or file
            self._gone = True

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
        except UnicodeEncodeError:  # a terminal that knows ASCII only
            self._out.write(text.encode("ascii", "backslashreplace").decode())
        self._out.flush()


class PipeLines:
    """What a process writes into its pipe, as lines.

    Attributes:
        pipe: the reading end; `finish` closes it.
        at_end: nobody can write into it any more.
    """

    def __init__(self, pipe: IO[bytes], process: str, writer: LineWriter) -> None:
        self.pipe = pipe
        self.at_end = False
        self._process = process
        self._writer = writer
        self._rest = b""
        os.set_blocking(pipe.fileno(), False)

    def read(self) -> bool:
        """Pass on what is there; False if there was nothing."""
        try:
            data = os.read(self.pipe.fileno(), LINE_BYTES)
        except BlockingIOError:
            return False
        self.at_end = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self.at_end or len(self._rest) > LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        self._writer.write(self._process, *(line.decode(errors="replace") for line in lines))
        return bool(data)

    def finish(self) -> None:
        """Pass on all that is there, also a line without an end, and close the pipe."""
        while self.read():
            pass
        self._writer.write(self._process, self._rest.decode(errors="replace"))
        self.pipe.close()
