"""Errors as the API answers them: problem details (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class Kind(Enum):
    """What can go wrong: the last part of the problem's type, the status, the title."""

    MALFORMED = ("malformed", 400, "The request cannot be read")
    TOKEN_NEEDED = ("token-needed", 401, "A valid token is needed")
    SCOPE_MISSING = ("scope-missing", 403, "The token does not allow this")
    NOT_FOUND = ("not-found", 404, "There is no such thing")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "The method is not for this path")
    TOO_SLOW = ("too-slow", 408, "The request came too slowly")
    UNDER_WAY = ("idempotency-under-way", 409, "A request under this key is under way")
    TOO_LATE = ("too-late", 409, "It can no longer be done")
    TAKEN = ("taken", 409, "It is there already")
    TOO_LARGE = ("too-large", 413, "The request is too large")
    MEDIA_TYPE = ("media-type", 415, "The content is of another type than this path takes")
    INVALID = ("invalid", 422, "The request is not valid")
    KEY_CONFLICT = ("idempotency-conflict", 422, "The key was used for another request")
    TOO_MANY = ("too-many-requests", 429, "Too many requests")
    INTERNAL = ("internal", 500, "It failed, and the fault is ours")
    UNAVAILABLE = ("unavailable", 503, "The service cannot do it now")

    @property
    def type(self) -> str:
        """A stable reference that names the kind."""
        return f"/problems/{self.value[0]}"

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[1]

    @property
    def title(self) -> str:
        """The same words for every problem of the kind."""
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at one place of a request.

    Attributes:
        pointer: to the place in the body (RFC 6901); "" is all of it.
        detail: in words, without what was sent.
    """

    pointer: str
    detail: str


class Problem(HTTPException):
    """Ends a request with problem details.

    Args:
        kind: what went wrong.
        detail: of this occurrence, in words; never what was sent, nor anything of others.
        errors: places in the body, where they are known.
        headers: more for the answer, such as Retry-After.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(kind.status, detail, dict(headers or {}))
        self.kind = kind
        self.errors = tuple(errors)

    def body(self) -> dict[str, Any]:
        """The problem's members."""
        members: dict[str, Any] = {
            "type": self.kind.type,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
        }
        if self.errors:
            members["errors"] = [
                {"pointer": one.pointer, "detail": one.detail} for one in self.errors
            ]
        return members

    def response(self) -> Response:
        """The answer."""
        body = json.dumps(self.body(), ensure_ascii=False).encode("utf-8", "replace")
        return Response(body, self.kind.status, self.headers, MEDIA_TYPE)


def problem_schema() -> dict[str, Any]:
    """The JSON schema of a problem."""
    text = {"type": "string"}
    fault = {
        "type": "object",
        "properties": {"pointer": text, "detail": text},
        "required": ["pointer", "detail"],
    }
    return {
        "title": "Problem",
        "description": "Problem details (RFC 9457).",
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "instance": {"type": "string", "format": "uri-reference"},
            "errors": {"type": "array", "items": fault},
        },
        "required": ["type", "title", "status", "detail"],
    }
