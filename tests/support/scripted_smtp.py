"""An SMTP server that says exactly what a test tells it to, byte for byte.

A script is a list of steps for each connection; the last script serves all further ones.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType


class Peer:
    """The server's side of one connection; `heard` is all that the client said on it."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self._sock = sock
        self._stopping = stopping
        self._unread = b""
        self.heard = b""

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self._sock.sendall(data)

    def drip(self, data: bytes, seconds: float) -> None:
        """Send byte by byte, with a pause before each."""
        for byte in data:
            if self._stopping.wait(seconds):
                return
            self._sock.sendall(bytes([byte]))

    def until(self, end: bytes) -> bytes:
        """Read until `end` has come; empty if the client closed before."""
        while end not in self._unread:
            self._wait_readable()
            data = self._sock.recv(65536)
            if not data:
                return b""
            self._unread += data
            self.heard += data
        found, _, self._unread = self._unread.partition(end)
        return found + end

    def sleep(self) -> None:
        """Neither read nor write until the test ends."""
        self._stopping.wait(30)

    def _wait_readable(self) -> None:
        while not self._stopping.is_set():
            if select.select([self._sock], [], [], 0.05)[0]:
                return
        raise ConnectionAbortedError


Step = Callable[[Peer], None]


def say(data: bytes) -> Step:
    """Say something unasked."""
    return lambda peer: peer.say(data)


def answer(data: bytes) -> Step:
    """Wait for a command line, then say something."""

    def step(peer: Peer) -> None:
        if not peer.until(b"\r\n"):
            raise ConnectionAbortedError
        peer.say(data)

    return step


def read_line(peer: Peer) -> None:
    """Wait for a command line."""
    peer.until(b"\r\n")


def read_content(peer: Peer) -> None:
    """Wait for the final dot."""
    peer.until(b"\r\n.\r\n")


def drip(data: bytes, seconds: float) -> Step:
    """Say something byte by byte."""
    return lambda peer: peer.drip(data, seconds)


def sleep(peer: Peer) -> None:
    """Do nothing until the test ends."""
    peer.sleep()


GREET: list[Step] = [say(b"220 scripted\r\n"), answer(b"250 scripted\r\n")]
ENVELOPE: list[Step] = [answer(b"250 sender\r\n"), answer(b"250 recipient\r\n")]
TO_DATA: list[Step] = [*GREET, *ENVELOPE, answer(b"354 go on\r\n")]
"""All goes well up to the content, with one recipient."""


class ScriptedServer:
    """Serves its scripts on a free port of 127.0.0.1; a connection closes where its script ends.

    Attributes:
        port: where it listens.
        peers: one for each connection so far.
    """

    def __init__(self, *scripts: Sequence[Step]) -> None:
        self._scripts = scripts
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self.peers: list[Peer] = []
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept)

    def __enter__(self) -> ScriptedServer:
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._acceptor.join()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def wait(self) -> None:
        """Wait until all connections so far have ended, so that `heard` is complete."""
        for thread in list(self._threads):
            thread.join(timeout=5)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            script = self._scripts[min(len(self.peers), len(self._scripts) - 1)]
            peer = Peer(sock, self._stopping)
            self.peers.append(peer)
            thread = threading.Thread(target=_play, args=(sock, peer, script))
            self._threads.append(thread)
            thread.start()


def _play(sock: socket.socket, peer: Peer, script: Sequence[Step]) -> None:
    with sock:
        try:
            for step in script:
                step(peer)
        except OSError:
            pass  # the client went away; the test looks at what it made of it
