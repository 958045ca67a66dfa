"""Batches: NDJSON in, NDJSON out, an answer for each line; neither side is ever whole in memory."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import structlog
from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from worker.api.groups import Answer, Groups
from worker.api.lines import Answers, Line, Splitter, grouped
from worker.api.problems import Kind, Problem

log = structlog.get_logger()

LINES_MOST = 10_000
GROUP_LINES = 200
"""Chosen: a transaction of some 50 ms."""
GROUP_OCTETS = 1_000_000
"""Chosen: what a group may hold in memory, but for a single line that is longer."""
MEDIA_TYPE = "application/x-ndjson"


class Batch(Response):
    """Takes a batch in while it answers.

    The first group is stored before the answer begins, so that what fails at once has a status
    of its own. From then on each line has its result, and what was answered is stored for good.

    Args:
        groups: stores the lines.
        request: whose body they are.
        line_octets: the most of one line.
        group_lines: the most that are stored together.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self, groups: Groups, request: Request, line_octets: int, group_lines: int
    ) -> None:
        super().__init__(media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self._groups = groups
        self._splitter = Splitter(line_octets)
        self._coming = grouped(request.stream(), self._splitter, group_lines, GROUP_OCTETS)
        self._answers = Answers()
        self._taken = 0
        self._unanswered = 1

    async def begin(self) -> None:
        """Store the first group.

        Raises:
            SQLAlchemyError: PostgreSQL is away.
            Problem: the body cannot be read to its first group.
        """
        try:
            await self._next()
        except BaseException:
            self._answers.close()
            raise

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer; ASGI. Nothing but the batch may read from `_receive`: it carries the rest."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        taking = asyncio.create_task(self._take_the_rest())
        try:
            await send(start)
            async for chunk in self._answers.chunks():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            taking.cancel()
            with suppress(asyncio.CancelledError):
                await taking
            self._answers.close()

    async def _take_the_rest(self) -> None:
        try:
            while await self._next():
                pass
        except ClientDisconnect:
            log.info("a batch was broken off", lines=self._taken)
        except Problem as problem:
            self._end_with(problem)
        except SQLAlchemyError as error:
            log.warning("a batch was cut short", lines=self._taken, error=type(error).__name__)
            words = "the database is away; hand in this line and all after it again"
            self._end_with(Problem(Kind.UNAVAILABLE, words))
        except Exception as error:
            log.error("a batch failed", lines=self._taken, error=type(error).__name__)
            words = "it failed, and the fault is ours; hand in this line and all after it again"
            self._end_with(Problem(Kind.INTERNAL, words))
        finally:
            self._answers.end()

    async def _next(self) -> bool:
        """Store the next group and answer it; tells whether there was one, and may be more."""
        lines = await anext(self._coming, None)
        if lines is None:
            self._answers.end()
            return False
        room = LINES_MOST - self._taken
        stored = lines[:room]
        if stored:
            results = await to_thread.run_sync(self._groups.store, stored)
            self._answers.add(b"".join(map(_written, stored, results)))
            self._taken += len(stored)
            self._unanswered = stored[-1].number + 1
        if len(lines) > room:
            self._unanswered = lines[room].number
            words = f"a batch has at most {LINES_MOST:,} lines; hand this one and the rest in anew"
            raise Problem(Kind.TOO_LARGE, words)
        return True

    def _end_with(self, problem: Problem) -> None:
        """Answer the first line that has no answer, and no more."""
        self._answers.add(_written(Line(self._unanswered, None), problem))


def _written(line: Line, answer: Answer) -> bytes:
    members = {"error": answer.body()} if isinstance(answer, Problem) else answer
    text = json.dumps({"line": line.number, **members}, ensure_ascii=False)
    return text.encode("utf-8", "replace") + b"\n"
