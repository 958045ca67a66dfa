"""Everything this package raises on purpose.

KadenciaError
├── ApiError            an answer with problem details (RFC 9457)
│   ├── Invalid         400, 413, 415, 422: as it is it will never be taken
│   ├── Forbidden       401, 403: the token is wrong, expired, or lacks the scope
│   ├── NotFound        404
│   └── Conflict        409: it can no longer be done
├── Unavailable         no answer, or none of use, however often it was tried
└── WebhookError        a call to a webhook that is not Kadencia's, or is too old
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """Problem details as the server gave them.

    Attributes:
        type: a stable reference, as in `/problems/idempotency-conflict`.
        title: the same words for every problem of the type.
        status: the HTTP status.
        detail: of this occurrence.
        errors: pointer (RFC 6901) into what was sent, and what is wrong there.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, given: object, status: int) -> Problem:
        """Read what the server says; whatever stands between may answer with anything."""
        members: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        found = members.get("errors")
        return cls(
            type=str(members.get("type", "about:blank")),
            title=str(members.get("title", f"HTTP {status}")),
            status=status,
            detail=str(members.get("detail", "")),
            errors=tuple(
                (str(one.get("pointer", "")), str(one.get("detail", "")))
                for one in (found if isinstance(found, list) else [])
                if isinstance(one, Mapping)
            ),
        )

    def __str__(self) -> str:
        places = "".join(f"; {pointer or 'body'}: {detail}" for pointer, detail in self.errors)
        return f"{self.title} ({self.status}): {self.detail}{places}"


class KadenciaError(Exception):
    """Base class of what this package raises on purpose."""


class ApiError(KadenciaError):
    """The server answered, and said no.

    Attributes:
        problem: what it said.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)  # or unpickling fails
        self.problem = problem


class Invalid(ApiError):
    """What was sent will never be taken as it is; mend it."""


class Forbidden(ApiError):
    """The token is wrong, has expired, or lacks the scope."""


class NotFound(ApiError):
    """There is no such thing, or it belongs to another company."""


class Conflict(ApiError):
    """It can no longer be done, as cancelling what was sent."""


class Unavailable(KadenciaError):
    """No answer of use, after all tries. To send again under the same key does no harm.

    Attributes:
        why: of the last try.
        key: the idempotency key; None of what has none.
    """

    def __init__(self, why: str, key: str | None = None) -> None:
        super().__init__(why, key)
        self.why = why
        self.key = key

    def __str__(self) -> str:
        again = "" if self.key is None else f"; send it again under the key {self.key}"
        return f"Kadencia gave no answer: {self.why}{again}"


class WebhookError(KadenciaError):
    """A call to a webhook that must not be believed."""


BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}


def error_of(problem: Problem) -> ApiError:
    """The error that a problem is raised as."""
    return BY_STATUS.get(problem.status, ApiError)(problem)
