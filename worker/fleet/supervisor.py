"""Starts the processes of one machine in order, starts again what dies, and stops them all.

Why our own: docs/decisions/0003-supervisor.md.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TextIO

from worker.core.retry import backoff
from worker.embedded import processes
from worker.embedded.errors import NotReady
from worker.embedded.processes import ProcessSpec, describe_exit
from worker.fleet.output import LineWriter, LogFormat, PipeLines

Renew = Callable[[str, str], object]
"""Ends a process by its name, for a reason, and starts it again; from any thread."""

OURSELVES = "kadencia"
"""The name before the supervisor's own lines."""

FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(seconds=30)
"""Chosen: with equal jitter the first wait is 0.5 to 1 s, the longest 15 to 30 s."""

STEADY_SECONDS = 60.0
"""Chosen: a process that lived this long starts again as if it were its first failure."""

READY_POLL_SECONDS = 0.05

DOUBLE_SECONDS = 0.5
"""Chosen: a second Ctrl-C so soon is the first, passed on by a wrapper such as make or uv."""


class _Child:
    """A process and what is known of it; `process` is None until its first start."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self.ended = asyncio.Event()
        self.started_at = 0.0
        self.failures = 0

    def check(self) -> None:
        """Notice its end, and reap it."""
        if self.process is not None and self.process.poll() is not None:
            self.ended.set()

    def send(self, one: signal.Signals) -> None:
        """Send a signal; SIGKILL goes to its whole group, so that nothing of it is left."""
        if self.process is None or self.process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            if one is signal.SIGKILL:
                os.killpg(self.process.pid, one)
            else:
                self.process.send_signal(one)

    def describe_end(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode if self.process is not None else None
        return "not started" if code is None else describe_exit(code)


class Supervisor:
    """One run over a list of processes; `run` may be called once."""

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        writer: LineWriter,
        on_started: Callable[[], None] | None = None,
        on_running: Callable[[Renew], None] | None = None,
    ) -> None:
        self._on_running = on_running
        self._renewals: dict[str, asyncio.Task[None]] = {}
        self._children = [_Child(spec) for spec in specs]
        self._writer = writer
        self._on_started = on_started
        self._outputs: set[PipeLines] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._at_once = False
        self._asked_at = 0.0

    async def run(self) -> int:
        """Start all, keep them alive until told to stop, stop all; see the module's `run`."""
        loop = asyncio.get_running_loop()
        self._listen(loop)
        if self._on_running is not None:
            self._on_running(lambda name, why: loop.call_soon_threadsafe(self._renew, name, why))
        try:
            await self._start_all()
            await self._watch()
            code = 0
        except Exception as error:
            self._say(str(error).strip().splitlines()[0] if str(error).strip() else repr(error))
            code = 1
        finally:
            await self._stop_all()
        return 1 if self._at_once else code

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGTERM, self._ask_to_stop)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means: stay
            loop.add_signal_handler(signal.SIGHUP, self._ask_to_stop)

    def _reap(self) -> None:
        for child in self._children:
            child.check()

    def _ask_to_stop(self) -> None:
        if not self._stopping.is_set():
            self._asked_at = time.monotonic()
            self._say("stopping; Ctrl-C again kills at once")
            self._stopping.set()

    def _interrupt(self) -> None:
        if self._stopping.is_set() and time.monotonic() - self._asked_at > DOUBLE_SECONDS:
            self._at_once = True
            for child in self._children:
                child.send(child.spec.kill_signal)
        self._ask_to_stop()

    async def _start_all(self) -> None:
        for child in self._children:
            if self._stopping.is_set():
                return
            self._start(child)
            await self._until_ready(child)
            self._keepers.append(asyncio.create_task(self._keep(child)))
        if self._on_started is not None and not self._stopping.is_set():
            self._on_started()

    def _start(self, child: _Child) -> None:
        child.ended.clear()
        child.started_at = time.monotonic()
        child.process = processes.start(child.spec, subprocess.PIPE)
        assert child.process.stdout is not None  # noqa: S101  asked for in the line above
        output = PipeLines(child.process.stdout, child.spec.name, self._writer)
        self._outputs.add(output)
        asyncio.get_running_loop().add_reader(output.pipe, self._pass_on, output)
        child.check()  # its SIGCHLD may have come before `process` was set

    def _pass_on(self, output: PipeLines) -> None:
        output.read()
        if output.at_end:
            self._let_go(output)

    def _let_go(self, output: PipeLines) -> None:
        asyncio.get_running_loop().remove_reader(output.pipe)
        output.finish()
        self._outputs.discard(output)

    async def _until_ready(self, child: _Child) -> None:
        deadline = time.monotonic() + child.spec.ready_seconds
        while child.spec.ready is not None and not self._stopping.is_set():
            if child.ended.is_set():
                raise NotReady(child.spec.name, f"it ended, {child.describe_end()}")
            try:
                await asyncio.to_thread(child.spec.ready)
                break
            except NotReady:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(READY_POLL_SECONDS)
        if child.spec.then is not None and not self._stopping.is_set():
            await asyncio.to_thread(child.spec.then)

    async def _watch(self) -> None:
        told = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait([told, *self._keepers], return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        for task in done:
            task.result()  # a keeper ends only when told to, or by a fault of ours

    async def _keep(self, child: _Child) -> None:
        while not self._stopping.is_set():
            await child.ended.wait()
            if self._stopping.is_set():
                return
            lived = time.monotonic() - child.started_at
            child.failures = 1 if lived > STEADY_SECONDS else child.failures + 1
            wait = backoff(child.failures, FIRST_WAIT, LONGEST_WAIT, random.random())  # noqa: S311
            seconds = wait.total_seconds()
            self._say(f"{child.spec.name} ended, {child.describe_end()}; again in {seconds:.1f} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)
            if not self._stopping.is_set():  # asked here, with nothing awaited before the start
                self._start_again(child)

    def _renew(self, name: str, why: str) -> None:
        """End a process as in an ordered stop; its keeper starts it again."""
        child = next(one for one in self._children if one.spec.name == name)
        if self._stopping.is_set() or child.ended.is_set() or name in self._renewals:
            return
        self._say(f"{name} is ended and started again: {why}")
        renewal = asyncio.get_running_loop().create_task(self._end(child))
        self._renewals[name] = renewal
        renewal.add_done_callback(lambda _: self._renewals.pop(name))

    def _start_again(self, child: _Child) -> None:
        try:
            self._start(child)
        except OSError as error:  # no memory, no more processes
            self._say(f"{child.spec.name} cannot be started: {error.strerror}")
            child.ended.set()

    async def _stop_all(self) -> None:
        self._stopping.set()
        for child in reversed(self._children):
            await self._end(child)
        for keeper in self._keepers:
            keeper.cancel()
        for output in list(self._outputs):
            self._let_go(output)

    async def _end(self, child: _Child) -> None:
        if child.process is None:
            return
        for one, seconds in processes.stop_steps(child.spec, at_once=self._at_once):
            child.check()
            child.send(one)
            with suppress(TimeoutError):
                await asyncio.wait_for(child.ended.wait(), seconds)
                return
            self._say(f"{child.spec.name} did not end within {seconds:g} s of {one.name}")

    def _say(self, line: str) -> None:
        self._writer.write(OURSELVES, line)


def run(
    specs: Sequence[ProcessSpec],
    *,
    log_format: LogFormat,
    out: TextIO,
    on_started: Callable[[], None] | None = None,
    on_running: Callable[[Renew], None] | None = None,
) -> int:
    """Run processes until SIGINT, SIGTERM or SIGHUP; call it from the main thread.

    They are started in order, each when the one before is ready. One that dies is started
    again, after a wait that grows with each failure. They are stopped in reverse order.
    If this process dies in whatever way, the kernel sends each its death signal.

    Args:
        specs: the processes.
        log_format: how their lines and our own are written.
        out: where to.
        on_started: called once when all are ready; an error stops everything.
        on_running: called once at the beginning, with the way to renew a process.

    Returns:
        0 after an ordered stop; 1 if a process did not become ready at the first start, or
        if a second Ctrl-C cut the stop short.
    """
    writer = LineWriter(out, log_format)

    async def supervise() -> int:
        return await Supervisor(specs, writer, on_started, on_running).run()

    return asyncio.run(supervise())
