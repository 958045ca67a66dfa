"""What the routes ask of a request before they begin."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header
from starlette.requests import Request

from worker.api.batches import MEDIA_TYPE as NDJSON
from worker.api.problems import Kind, Problem
from worker.api.security import Principal, token_needed


def principal(request: Request) -> Principal:
    """Who asks; the route's `require` has seen to the scope."""
    found = getattr(request.state, "principal", None)
    if not isinstance(found, Principal):
        raise token_needed()
    return found


async def json_body(request: Request) -> bytearray:
    """The octets of a JSON body.

    Raises:
        Problem: it is said to be something else.
    """
    _expect(request, "application/json")
    return await octets(request)


def ndjson(request: Request) -> None:
    """Refuse a batch that is said to be something else.

    Raises:
        Problem: it is.
    """
    _expect(request, NDJSON)


async def octets(request: Request) -> bytearray:
    """A body of any type; `request.body` would hold it twice, and for as long as the request."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
    return body


def _expect(request: Request, media_type: str) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != media_type:
        raise Problem(Kind.MEDIA_TYPE, f"send it with Content-Type: {media_type}")


Asks = Annotated[Principal, Depends(principal)]
JsonBody = Annotated[bytearray, Depends(json_body)]
Octets = Annotated[bytearray, Depends(octets)]
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same as the member idempotency_key; in quotes or without.",
    ),
]
