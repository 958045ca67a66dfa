"""Making messages of documents: each by itself, so that a bad one is in no other's way."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.states import Channel
from settings import Settings
from worker import db
from worker.core.content import ContentError
from worker.enqueueing import Draft, Enqueued, SmsDraft
from worker.enqueueing.together import enqueue_sms_together, enqueue_together
from worker.intake import rows
from worker.intake.documents import loaded, read
from worker.intake.drafting import draft_of, enqueue_draft
from worker.registers import RegisterError
from worker.registers.naming import find_company

log = structlog.get_logger()

Become = Enqueued | str | None
"""What becomes of a document: its message, why it was rejected, or nothing for now."""

PASS_SECONDS = 1.0
"""Chosen: then a sweep of the same control process gets its turn."""


def take_in(engine: Engine, settings: Settings) -> bool:
    """Make messages of what waits, best priority first; any number may do so at once.

    Returns:
        Whether time was up and more may wait.
    """
    until = time.monotonic() + PASS_SECONDS
    left: list[int] = []
    while True:
        with db.transaction(engine) as connection:
            found = rows.waiting(connection, left)
            done, rejected = _take_all(connection, found, settings, left)
        if done or rejected:
            log.info("taken in", messages=done, rejected=rejected)
        if not found or not found[0].more:
            return False
        if time.monotonic() > until:
            return True


def retain(engine: Engine, settings: Settings) -> None:
    """Drop what was dismissed as long ago as bodies are kept; the next run goes on."""
    with db.transaction(engine) as connection:
        rows.drop_dismissed(connection, timedelta(days=settings.body_retention_days))


def _take_all(
    connection: Connection, found: Sequence[Row[Any]], settings: Settings, left: list[int]
) -> tuple[int, int]:
    """Take each in; what can be neither accepted nor rejected now is added to `left`."""
    try:
        with connection.begin_nested():
            become = _together(connection, found, settings)
    except Exception as error:
        if isinstance(error, DBAPIError) and db.is_gone(error):
            raise
        # One of them is to blame, and each by itself tells which.
        log.warning("taken in one by one", error=type(error).__name__)
        become = {row.id: _alone(connection, row, settings) for row in found}
    left += [number for number, one in become.items() if one is None]
    reasons = {number: one for number, one in become.items() if isinstance(one, str)}
    rows.reject(connection, reasons)
    messages = {n: one.message_id for n, one in become.items() if isinstance(one, Enqueued)}
    rows.accept(connection, messages)
    return len(messages), len(reasons)


def _together(
    connection: Connection, found: Sequence[Row[Any]], settings: Settings
) -> dict[int, Become]:
    """What becomes of each, in a few statements for all of a company and channel."""
    become: dict[int, Become] = {}
    groups = defaultdict[tuple[int, str], dict[int, Draft | SmsDraft]](dict)
    for row in found:
        try:
            draft = _draft(connection, row)
        except (ContentError, RegisterError) as error:
            become[row.id] = str(error)
        else:
            groups[draft.company_id, row.channel][row.id] = draft
    for (_, channel), drafts in groups.items():
        given: list[Any] = list(drafts.values())
        if channel == Channel.SMS:
            done = enqueue_sms_together(connection, given)
        else:
            done = enqueue_together(connection, given, settings)
        words = (str(one) if isinstance(one, ContentError) else one for one in done)
        become.update(zip(drafts, words, strict=True))
    return become


def _alone(connection: Connection, row: Row[Any], settings: Settings) -> Become:
    """What becomes of one, whatever it does to the database."""
    try:
        with connection.begin_nested():
            return enqueue_draft(connection, _draft(connection, row), settings)
    except Exception as error:
        return why_rejected(error)


def _draft(connection: Connection, row: Row[Any]) -> Draft | SmsDraft:
    given = read(Channel(row.channel), loaded(row.document))
    company_id = row.company_id
    if company_id is None:
        company_id = find_company(connection, given.company).id
    return draft_of(connection, company_id, given)


def why_rejected(error: Exception) -> str | None:
    """Why a document that led to this error can be no message; None if it is not to blame.

    Raises:
        Exception: `error` itself, if the database is away: then nothing can be noted either.
    """
    if isinstance(error, ContentError | RegisterError):
        return str(error)
    passing = isinstance(error, DBAPIError | PoolTimeout)
    if passing and not isinstance(error, DataError | IntegrityError):
        if isinstance(error, DBAPIError) and db.is_gone(error):
            raise error
        log.warning("not taken in for now", error=type(error).__name__)
        return None
    # Its words may quote what was handed in, so the log has only where it came from.
    log.error("a document led to a fault of ours", error=type(error).__name__)
    return (
        f"document: led to a fault of ours ({type(error).__name__}); tell who looks after Kadencia"
    )
