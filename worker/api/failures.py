"""What went wrong, as a problem; nothing of what was sent is told or logged."""

from __future__ import annotations

import traceback

import structlog
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from worker import db
from worker.api.problems import Fault, Kind, Problem
from worker.api.reading import of_content
from worker.core.content import ContentError

log = structlog.get_logger()

RETRY_SECONDS = 5
"""Chosen: PostgreSQL fails over in a few times this."""

_OF_STATUS = {
    400: Kind.MALFORMED,
    404: Kind.NOT_FOUND,
    405: Kind.METHOD_NOT_ALLOWED,
    413: Kind.TOO_LARGE,
    415: Kind.MEDIA_TYPE,
}
LOST_TRANSACTION = ("40P01", "40001", "55P03", "57014")
"""Deadlock, serialization, lock not available, statement cancelled: the same request may pass."""


def problem_of(error: Exception) -> Problem:
    """The problem that an error is to whoever asked."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _of_parameters(error)
    if isinstance(error, HTTPException):
        kind = _OF_STATUS.get(error.status_code, Kind.MALFORMED)
        return Problem(kind, kind.title, headers=error.headers)
    if isinstance(error, ContentError):
        return of_content(error)
    if isinstance(error, ClientDisconnect):
        return Problem(Kind.MALFORMED, "the request broke off")
    if is_away(error) or code_of(error) in LOST_TRANSACTION:
        log.warning("PostgreSQL is away", error=type(error).__name__)
        words = f"the database cannot be had now; ask again in {RETRY_SECONDS} s"
        return Problem(Kind.UNAVAILABLE, words, headers={"Retry-After": str(RETRY_SECONDS)})
    # Where, not what: an error's words may quote addresses or texts.
    frames = [f"{one.filename}:{one.lineno}" for one in traceback.extract_tb(error.__traceback__)]
    log.error("a request failed", error=type(error).__name__, where=frames[-6:])
    return Problem(Kind.INTERNAL, "the fault is in the service, and is in its log")


def is_away(error: Exception) -> bool:
    """Whether PostgreSQL, or a connection to it, cannot be had now."""
    return isinstance(error, PoolTimeout) or (isinstance(error, DBAPIError) and db.is_gone(error))


def code_of(error: Exception) -> str | None:
    """PostgreSQL's code of an error; None if it is none of its own."""
    code = getattr(getattr(error, "orig", None), "pgcode", None)
    return None if code is None else str(code)


def _of_parameters(error: RequestValidationError) -> Problem:
    """Of the path, the query and the headers; bodies are read by `worker.api.reading`."""
    faults = [
        Fault("", f"{one['loc'][0]} parameter {one['loc'][-1]}: {one['msg']}")
        for one in error.errors()
    ]
    return Problem(Kind.INVALID, "a parameter is not valid", faults)
