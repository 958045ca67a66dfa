"""Many items, in requests of some hundred lines, each tried again with what is still unanswered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kadencia_client.connection import Connection, Passing, quiet
from kadencia_client.drafts import Draft
from kadencia_client.errors import Problem, Unavailable
from kadencia_client.retrying import is_passing
from kadencia_client.views import BatchResult, Enqueued

LINES = 500
"""Chosen: what one request carries; so many lines are kept until they are answered."""
OCTETS = 8_000_000
"""Chosen: a request ends with the line that reaches so many."""
MEDIA_TYPE = "application/x-ndjson"


@dataclass(slots=True)
class _Item:
    index: int
    key: str
    line: bytes = field(repr=False)
    result: BatchResult | None = None


def send(connection: Connection, path: str, drafts: Iterable[Draft]) -> Iterator[BatchResult]:
    """Send drafts as they come; yields a result for each, in order.

    Args:
        connection: to the server.
        path: of the batch.
        drafts: read as far as is needed for the next request.

    Raises:
        Unavailable: for some there was no answer after all tries; whatever was yielded is done.
    """
    for items in _requests(drafts):
        try:
            connection.insist(lambda items=items: _try(connection, path, items))  # type: ignore[misc]
        except Unavailable:
            # Those before the first that has no result are done, and the caller must learn of it.
            for item in items:
                if item.result is None:
                    raise
                yield item.result
        for item in items:
            assert item.result is not None  # noqa: S101  else `_try` had failed
            yield item.result


def _requests(drafts: Iterable[Draft]) -> Iterator[list[_Item]]:
    items: list[_Item] = []
    size = 0
    for index, draft in enumerate(drafts):
        document = draft.document()
        line = json.dumps(document, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        items.append(_Item(index, document["idempotency_key"], line))
        size += len(line)
        if len(items) >= LINES or size >= OCTETS:
            yield items
            items, size = [], 0
    if items:
        yield items


def _try(connection: Connection, path: str, items: list[_Item]) -> None:
    """Send what has no result yet, and note the results as they come.

    Raises:
        Passing: some have none still.
    """
    unanswered = [item for item in items if item.result is None]
    lines = (item.line for item in unanswered)
    why = "some lines were not answered"
    answer = connection.open("POST", path, data=lines, content_type=MEDIA_TYPE, stream=True)
    try:
        with answer, quiet():
            for line in answer.iter_lines():
                if line.strip():
                    _note(unanswered, line)
    except Passing as error:
        why = error.why
    left = [item for item in unanswered if item.result is None]
    if left:
        raise Passing(why, got_on=len(left) < len(unanswered))


def _note(items: list[_Item], line: bytes) -> None:
    try:
        found: Any = json.loads(line)
        item = items[int(found["line"]) - 1]
        if "error" not in found:
            item.result = BatchResult(item.index, item.key, done=Enqueued.of(found))
            return
        problem = Problem.of(found["error"], int(found["error"]["status"]))
    except (ValueError, KeyError, TypeError, IndexError):
        raise Passing("a line of the answer cannot be read") from None
    if not is_passing(problem) and problem.status < 500:
        item.result = BatchResult(item.index, item.key, problem=problem)
