"""An SMTP server that takes whatever comes as fast as it can; for through-put and nothing else.

    python -m benchmarks.fast_sink

`kadencia smtp-sink` parses, journals and fails on request, at some hundreds of mails a second.
This one reads lines and notes when each final dot came, so that it is not what is measured.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ANSWERS = {
    b"EHLO": b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n",
    b"HELO": b"250 sink.example\r\n",
    b"QUIT": b"221 2.0.0 bye\r\n",
    b"DATA": b"354 go on\r\n",
}
OK = b"250 2.0.0 ok\r\n"
DOT = b"\r\n.\r\n"


class Dialogue(asyncio.Protocol):
    """One connection."""

    def __init__(self, times: array[float]) -> None:
        self._times = times
        self._buffer = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self._out = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.write(b"220 sink.example\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer every whole line, and each mail after its dot."""
        self._buffer += data
        while self._step():
            pass

    def _step(self) -> bool:
        mark = DOT if self._in_data else b"\r\n"
        at = self._buffer.find(mark)
        if at < 0:
            return False
        line, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
        if self._in_data:
            self._in_data = False
            self._times.append(time.time())
            self._out.write(OK)
            return True
        verb = line[:4].upper()
        self._in_data = verb == b"DATA"
        self._out.write(ANSWERS.get(verb, OK))
        if verb == b"QUIT":
            self._out.close()
        return True


async def serve(journal: Path) -> None:
    """Listen on a free port until SIGTERM; the times of the dots are written to the journal."""
    times: array[float] = array("d")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Dialogue(times), "127.0.0.1", 0, backlog=512)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: write(times, journal))
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    write(times, journal)


def write(times: array[float], journal: Path) -> None:
    """Write what has come so far; a reader sees all of it or the file of before."""
    new = journal.with_suffix(".new")
    new.write_bytes(times.tobytes())
    new.rename(journal)


@dataclass
class FastSink:
    """A running sink.

    Attributes:
        port: on 127.0.0.1.
        pid: of its process.
        journal: times of the dots, doubles.
    """

    port: int
    pid: int
    journal: Path

    def dots(self) -> list[float]:
        """When final dots came so far, in seconds since the epoch."""
        self.journal.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR1)
        while not self.journal.exists():
            time.sleep(0.01)
        found: array[float] = array("d")
        found.frombytes(self.journal.read_bytes())
        return found.tolist()


@contextmanager
def running(directory: Path) -> Iterator[FastSink]:
    """Start a sink, end it with the context."""
    journal = directory / "dots"
    command = [sys.executable, "-m", "benchmarks.fast_sink", str(journal)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield FastSink(int(process.stdout.readline()), process.pid, journal)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
