"""TCP lines between the fleet and its servers, which a test cuts, stalls, slows or garbles.

A line stands on the client's side: what it has read, the client has written. Each `kadencia
worker` has lines of its own, so that one can be cut off while the others go on.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import make_url

T = TypeVar("T")

DOT = b"\r\n.\r\n"
SECONDS_A_BYTE = 1.0
CHUNK = 65536
_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>\r\n]*>)", re.IGNORECASE | re.MULTILINE)
_RECIPIENT = re.compile(rb"^RCPT TO:<([^>]*)>", re.IGNORECASE | re.MULTILINE)
_OF_SMTP = (b"MAIL FROM", b"EHLO")


@dataclass(eq=False, slots=True)
class Rule:
    """What happens to a request of a client, in place of an answer.

    Attributes:
        pattern: bytes of the request.
        forward: the server gets the request; what it answers, the client never hears.
        answer: what the client hears instead.
        hang_up: the connection ends then; else it stays open and silent.
        times: for so many requests; None: for all.
        after: let so many pass first.
        struck: how often it has happened.
    """

    pattern: bytes
    forward: bool = False
    answer: bytes = b""
    hang_up: bool = True
    times: int | None = 1
    after: int = 0
    struck: int = 0

    def takes(self, before: bytes, data: bytes) -> bool:
        """Whether this request is one of them; counts it.

        Args:
            before: the end of what was said before: the pattern may begin there.
            data: what is said now.
        """
        begun = before[-(len(self.pattern) - 1) :] if len(self.pattern) > 1 else b""
        if self.pattern not in begun + data or self.struck == self.times:
            return False
        if self.after:
            self.after -= 1
            return False
        self.struck += 1
        return True


@dataclass(frozen=True, slots=True)
class Dot:
    """A final dot that a client has written.

    Attributes:
        at_us: when, in µs since the epoch.
        message_id: of the header, with its angle brackets.
        recipients: of the envelope.
    """

    at_us: int
    message_id: str
    recipients: tuple[str, ...]


@dataclass(eq=False, slots=True)
class _Call:
    """One connection."""

    client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    server: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    said: bytes = b""
    """The end of what the client said: a pattern may be parted between two reads."""
    mail: bytes = b""
    struck: Rule | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def abort(self) -> None:
        for _, writer in (self.client, self.server):
            writer.transport.abort()


class Switchboard:
    """Carries lines on one event loop, in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._lines: list[Line] = []
        self._thread.start()

    def line(self, name: str, port: int) -> Line:
        """A line to a port of 127.0.0.1."""
        line = Line(self, name, port)
        self._lines.append(line)
        return line

    def line_to(self, name: str, url: str) -> tuple[Line, str]:
        """A line to a server, and the server's address by way of it."""
        parts = make_url(url)
        assert parts.port is not None
        line = self.line(name, parts.port)
        by_line = parts.set(host="127.0.0.1", port=line.port)
        return line, by_line.render_as_string(hide_password=False)

    def close(self) -> None:
        """End all lines."""
        for line in self._lines:
            line.refuse()
        self.do(self._end_tasks)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, function: Callable[[], T]) -> T:
        """Call a function on the loop's thread."""

        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(30)

    def wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def _end_tasks(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            if task is not asyncio.current_task():
                task.cancel()


class Line:
    """Forwards connections to a port; its methods may be called from any thread.

    Attributes:
        port: where it listens on 127.0.0.1.
        dots: the final dots that clients wrote, oldest first.
    """

    def __init__(self, board: Switchboard, name: str, target: int) -> None:
        self.name = name
        self.port = 0
        self.dots: list[Dot] = []
        self._board = board
        self._target = target
        self._rules: list[Rule] = []
        self._calls: set[_Call] = set()
        self._slow_up = self._slow_down = False
        self._beyond = 0
        self._server: asyncio.Server | None = None
        self._flows = board.do(asyncio.Event)
        self.restore()

    def cut(self) -> None:
        """End all connections; new ones are let through."""
        self._board.do(self._cut)

    def refuse(self) -> None:
        """End all connections and listen no more."""
        self._board.wait_for(self._stop_listening())

    def stall(self) -> None:
        """Carry nothing, either way; connections stay open, and new ones are taken."""
        self._board.do(self._flows.clear)

    def trickle(self, *, up: bool = False, down: bool = False, beyond: int = 0) -> None:
        """Carry one byte a second to the server, or to the client.

        Args:
            up: to the server.
            down: to the client.
            beyond: what is said at once is carried at once, if it has no more bytes than that.
        """
        self._slow_up, self._slow_down, self._beyond = up, down, beyond

    def on(self, rule: Rule) -> Rule:
        """Have a rule obeyed until `restore`."""
        self._rules = [*self._rules, rule]
        return rule

    def lead_to(self, port: int) -> None:
        """Lead to another port from now on; what was connected is cut."""
        self._target = port
        self.cut()

    def restore(self) -> None:
        """Carry everything again, as if nothing had been."""
        self._rules = []
        self._slow_up = self._slow_down = False
        self._board.do(self._flows.set)
        self._board.wait_for(self._listen())

    @contextmanager
    def troubled(self, *rules: Rule) -> Iterator[Line]:
        """Restored at the end, whatever was done to it meanwhile."""
        for rule in rules:
            self.on(rule)
        try:
            yield self
        finally:
            self.restore()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._connected, "127.0.0.1", self.port, backlog=512
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self._cut()

    def _cut(self) -> None:
        for call in list(self._calls):
            call.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        try:
            server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        call = _Call((reader, writer), server)
        self._calls.add(call)
        call.tasks = [asyncio.create_task(one) for one in (self._up(call), self._down(call))]
        try:
            await asyncio.wait(call.tasks, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # the end of the board, of which nobody need hear
            return
        finally:
            self._calls.discard(call)
            for task in call.tasks:
                task.cancel()
            for _, end in (call.client, call.server):
                end.close()

    def _is_slow_up(self, size: int) -> bool:
        return self._slow_up and size > self._beyond

    async def _up(self, call: _Call) -> None:
        with suppress(OSError):
            while data := await call.client[0].read(CHUNK):
                self._note(call, data)
                await self._flows.wait()
                if call.struck is not None:
                    continue
                rule = next((one for one in self._rules if one.takes(call.said, data)), None)
                call.said = (call.said + data)[-64:]
                call.struck = rule
                if rule is None or rule.forward:
                    await _write(call.server[1], data, partial(self._is_slow_up, len(data)))
                elif await _instead(call, rule):
                    return

    async def _down(self, call: _Call) -> None:
        with suppress(OSError):
            while data := await call.server[0].read(CHUNK):
                await self._flows.wait()
                if call.struck is None:
                    await _write(call.client[1], data, lambda: self._slow_down)
                elif await _instead(call, call.struck):
                    return

    def _note(self, call: _Call, data: bytes) -> None:
        """Keep the time of each final dot; other protocols have none."""
        now = time.time_ns() // 1000
        command = data[:9].upper()
        if not call.mail and not command.startswith(_OF_SMTP):
            return
        call.mail += data
        while DOT in call.mail:
            mail, _, call.mail = call.mail.partition(DOT)
            found = _MESSAGE_ID.search(mail)
            recipients = tuple(one.decode() for one in _RECIPIENT.findall(mail))
            self.dots.append(Dot(now, found[1].decode() if found else "", recipients))
        if command.startswith(b"RSET"):
            call.mail = b""


async def _instead(call: _Call, rule: Rule) -> bool:
    """Say what the client is to hear instead; whether that was the end."""
    if rule.answer:
        call.client[1].write(rule.answer)
        await call.client[1].drain()
    return rule.hang_up


async def _write(writer: asyncio.StreamWriter, data: bytes, is_slow: Callable[[], bool]) -> None:
    while data and is_slow():
        writer.write(data[:1])
        data = data[1:]
        await asyncio.sleep(SECONDS_A_BYTE)
    writer.write(data)
    await writer.drain()
