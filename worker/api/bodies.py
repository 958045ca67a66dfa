"""How much of a body is taken in, how fast it must come, and how many large ones at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from worker.api.desk import JSON_ROOM, LARGE_OCTETS, Desk
from worker.api.problems import Kind, Problem

BATCH_OCTETS = 500_000_000
"""Chosen: 10,000 e-mails of 50 kB. No more than a group of lines is ever in memory."""
LARGE_AT_ONCE = 2
"""Measured: with bodies of 23 MB from eight senders the process takes 0.5 GB with three, which is
what the deployment files allow it."""
SILENCE_SECONDS = 30.0
"""Chosen: a sender that gives nothing for so long holds a connection for nothing."""
BODY_SECONDS = 120.0
"""Chosen: 25 MB at 2 Mbit/s. Whoever is slower would keep others from handing in theirs."""


class Bodies:
    """Guards the bodies of one process's requests.

    Args:
        desk: with the settings.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    def most(self, scope: Scope) -> int:
        """How many octets a body may have, by its path."""
        path = scope["path"]
        if path.endswith("/batch"):
            return BATCH_OCTETS
        if path == "/v1/attachments":
            return self._desk.settings.message_bytes
        return self._desk.message_octets if path == "/v1/emails" else JSON_ROOM

    @asynccontextmanager
    async def guarded(self, scope: Scope, receive: Receive) -> AsyncIterator[Receive]:
        """The same `receive`, which refuses what is too much or too slow.

        Of large bodies only a few are read at once; the others wait at their senders. Batches do
        not: they are never whole in memory.

        Raises:
            Problem: more is announced than is taken.
        """
        most = self.most(scope)
        announced = Headers(scope=scope).get("content-length")
        if announced is not None and announced.isdecimal() and int(announced) > most:
            raise _too_large(most)
        chunked = announced is None and "transfer-encoding" in Headers(scope=scope)
        large = chunked or int(announced or 0) > LARGE_OCTETS
        whole = most != BATCH_OCTETS
        async with self._large if large and whole and most > JSON_ROOM else nullcontext():
            yield counted(receive, most, BODY_SECONDS if whole else None)


def counted(receive: Receive, most: int, seconds: float | None) -> Receive:
    """The same `receive`, which refuses a body of more octets, or one that takes longer.

    Args:
        receive: of ASGI.
        most: octets.
        seconds: for all of it; None: as long as it goes on coming.
    """
    taken, more = 0, True
    end = None if seconds is None else time.monotonic() + seconds

    async def counting() -> Message:
        nonlocal taken, more
        if not more:
            return await receive()  # waits for the client to go, for as long as it stays
        left = SILENCE_SECONDS if end is None else min(SILENCE_SECONDS, end - time.monotonic())
        try:
            message = await asyncio.wait_for(receive(), left)
        except TimeoutError:
            raise Problem(Kind.TOO_SLOW, "the body came too slowly; send it again") from None
        taken += len(message.get("body", b""))
        more = bool(message.get("more_body", False))
        if taken > most:
            raise _too_large(most)
        return message

    return counting


def _too_large(most: int) -> Problem:
    return Problem(Kind.TOO_LARGE, f"the body may have {most:,} octets at most")
