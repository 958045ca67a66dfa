"""The routes of messages: the same for e-mails and SMS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from models.states import MessageState
from models.tokens import Scope
from worker.api import description, shown
from worker.api.batches import GROUP_LINES, Batch
from worker.api.channels import Side
from worker.api.cursors import cursor_of, last_of
from worker.api.desk import Desk, desk
from worker.api.given import Moment
from worker.api.groups import Groups
from worker.api.problems import Kind, Problem
from worker.api.reading import invalid, read
from worker.api.requests import Asks, JsonBody, KeyHeader, ndjson
from worker.api.security import require
from worker.api.taking import key_of, take, unquoted
from worker.outbox import people
from worker.outbox.own import Own, Page
from worker.registers.tokens import BIGGEST_ID

PAGE_MOST = 200
REPLAYED = "Idempotent-Replayed"

AtDesk = Annotated[Desk, Depends(desk)]
MessageId = Annotated[int, Path(ge=1, le=BIGGEST_ID)]
Row = tuple[Scope, str, str, Callable[..., Any], dict[str, Any]]
"""A route: its scope, method, path and handler, and what its description says."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a list is wanted."""

    state: Annotated[MessageState | None, Query(description="Only those that stand there.")] = None
    reference: Annotated[str | None, Query(max_length=200, description="Only those with it.")] = (
        None
    )
    created_since: Annotated[
        Moment | None, Query(description="Only those taken in then or later (RFC 3339).")
    ] = None
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST, description="The most of one answer.")] = 50
    cursor: Annotated[
        str | None, Query(max_length=40, description="next_cursor of the answer before.")
    ] = None

    def page(self) -> Page:
        """The same as the outbox takes it.

        Raises:
            Problem: the cursor is none, or the reference cannot be stored.
        """
        before = None if self.cursor is None else last_of(self.cursor)
        if self.cursor is not None and before is None:
            raise invalid("", "cursor: give the next_cursor of an answer, or none")
        if self.reference is not None and "\0" in self.reference:
            raise invalid("", "reference: has the character U+0000")
        state = None if self.state is None else self.state.value
        return Page(before, state, self.reference, self.created_since, self.limit)


@dataclass(frozen=True, slots=True)
class Messages:
    """The handlers of one channel; those that are not `async` run in threads."""

    side: Side

    def enqueue(
        self, asks: Asks, at: AtDesk, body: JsonBody, key_header: KeyHeader = None
    ) -> Response:
        """Store one message; it is sent as its automatic task's plan and cadence allow."""
        given = read(self.side.given, body)
        key = key_of(key_header, given)
        verdict = at.ingress.messages(asks.token_id, 1)
        if verdict is not None and not verdict.allowed:
            words = f"the token's messages of this minute are used up; ask again in {verdict.wait}"
            headers = {"Retry-After": str(verdict.reset_seconds)}
            raise Problem(Kind.TOO_MANY, words, headers=headers)
        done = take(at, asks, self.side, given, key, len(body))
        headers = {"Location": f"/v1/{self.side.path}/{done.message_id}"}
        if not done.created:
            headers[REPLAYED] = "true"
        made = shown.Enqueued(id=done.message_id, state="ready", created=True)
        return JSONResponse(made.model_dump(), 201, headers)

    async def batch(
        self, request: Request, asks: Asks, at: AtDesk, key_header: KeyHeader = None
    ) -> Response:
        """Store up to 10,000 messages, one JSON object a line; each line has its own result."""
        ndjson(request)
        key = None if key_header is None else unquoted(key_header)
        most = at.settings.api_messages_minute
        groups = Groups(at, asks, self.side, key)
        batch = Batch(groups, request, at.message_octets, min(GROUP_LINES, most))
        await batch.begin()
        return batch

    def find(self, asks: Asks, at: AtDesk, wanted: Annotated[Wanted, Depends()]) -> Any:
        """List messages, the newest first."""
        page = wanted.page()
        with at.transaction(asks.who) as connection:
            own = Own(connection, asks.company_id, self.side.channel)
            found = own.find(replace(page, limit=page.limit + 1))
            rows = found[: page.limit]
            by_message: dict[int, list[Any]] = {row.id: [] for row in rows}
            for one in own.recipients(list(by_message)):
                by_message[one.message_id].append(one)
        items = [self.side.show_item(row, by_message[row.id]) for row in rows]
        more = len(found) > len(rows)
        return {"items": items, "next_cursor": cursor_of(rows[-1].id) if more else None}

    def one(self, asks: Asks, at: AtDesk, message_id: MessageId) -> Any:
        """Look at one message: where it stands, why, and its recipients."""
        with at.transaction(asks.who) as connection:
            own = Own(connection, asks.company_id, self.side.channel)
            row = own.one(message_id)
            if row is None:
                raise self._not_there()
            return self.side.show_one(own, row, own.recipients([message_id]))

    def attempts(self, asks: Asks, at: AtDesk, message_id: MessageId) -> Any:
        """See every hand-over of a message, with the far side's words."""
        with at.transaction(asks.who) as connection:
            own = Own(connection, asks.company_id, self.side.channel)
            self._expect(own, message_id)
            found, reached = own.attempts(message_id), own.recipients([message_id])
        return {"items": [shown.attempt_shown(row, reached) for row in found]}

    def cancel(self, asks: Asks, at: AtDesk, message_id: MessageId) -> Any:
        """Cancel a message that has not been handed over; once cancelled, it stays so."""
        with at.transaction(asks.who) as connection:
            own = Own(connection, asks.company_id, self.side.channel)
            self._expect(own, message_id)
            try:
                people.cancel(connection, message_id, asks.who)
            except people.MoveRefused as refused:
                row = own.one(message_id)
                if row is None or row.state != MessageState.CANCELLED:
                    raise Problem(Kind.TOO_LATE, str(refused)) from None
        return shown.moved(message_id, MessageState.CANCELLED)

    def _expect(self, own: Own, message_id: int) -> None:
        if not own.has(message_id):
            raise self._not_there()

    def _not_there(self) -> Problem:
        return Problem(Kind.NOT_FOUND, f"there is no {self.side.words[0]} of this id")


def router(side: Side) -> APIRouter:
    """The routes of one channel."""
    made = APIRouter(prefix=f"/v1/{side.path}", tags=[side.path])
    for scope, method, path, handler, more in (*_writing(side), *_reading(side)):
        made.add_api_route(
            path,
            handler,
            methods=[method],
            dependencies=[Depends(require(scope))],
            operation_id=f"{side.path}_{handler.__name__}",
            **more,
        )
    return made


def _writing(side: Side) -> Iterator[Row]:
    handlers = Messages(side)
    one, many = side.words
    single = {"status_code": 201, "response_model": shown.Enqueued}
    single |= {"summary": f"Enqueue an {one}", **description.enqueue(side.given)}
    yield side.writes, "POST", "", handlers.enqueue, single
    batch = {"status_code": 200, "response_class": Batch}
    batch |= {"summary": f"Enqueue many {many}", **description.batch(side.given)}
    yield side.writes, "POST", "/batch", handlers.batch, batch
    cancel = {"response_model": shown.Moved, "summary": f"Cancel an {one}"}
    cancel |= description.reading(Kind.NOT_FOUND, Kind.TOO_LATE)
    yield side.writes, "POST", "/{message_id:int}/cancel", handlers.cancel, cancel


def _reading(side: Side) -> Iterator[Row]:
    handlers = Messages(side)
    one, many = side.words
    listing = {"response_model": side.page, "summary": f"List {many}", **description.reading()}
    yield side.reads, "GET", "", handlers.find, listing
    found = description.reading(Kind.NOT_FOUND)
    single = {"response_model": side.one, "summary": f"Look at an {one}", **found}
    yield side.reads, "GET", "/{message_id:int}", handlers.one, single
    attempts = {"response_model": shown.Attempts, **found}
    attempts |= {"summary": f"See how an {one} was handed over"}
    yield side.reads, "GET", "/{message_id:int}/attempts", handlers.attempts, attempts
