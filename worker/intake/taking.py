"""Making messages of documents: each by itself, so that a bad one is in no other's way."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.automation import AutomaticTask
from models.organisation import Establishment
from models.states import Channel, Priority
from settings import Settings
from worker import db
from worker.compose import AttachmentPart
from worker.core.content import ContentError
from worker.enqueueing import Draft, Enqueued, SmsDraft, enqueue, enqueue_sms
from worker.intake import rows
from worker.intake.documents import EmailDocument, SmsDocument, read
from worker.registers import RegisterError
from worker.registers.naming import find, find_company

log = structlog.get_logger()

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
    connection: Connection, found: Any, settings: Settings, left: list[int]
) -> tuple[int, int]:
    """Take each in; what can be neither accepted nor rejected now is added to `left`."""
    messages: dict[int, int] = {}
    rejected = 0
    for row in found:
        try:
            with connection.begin_nested():
                messages[row.id] = _take(connection, row, settings).message_id
        except Exception as error:
            why = why_rejected(error)
            if why is None:
                left.append(row.id)
            else:
                rows.reject(connection, row.id, why)
                rejected += 1
    rows.accept(connection, messages)
    return len(messages), rejected


def _take(connection: Connection, row: Row[Any], settings: Settings) -> Enqueued:
    channel = Channel(row.channel)
    given = read(channel, row.document)
    company_id = row.company_id
    if company_id is None:
        company_id = find_company(connection, given.company).id
    return enqueue_document(connection, company_id, given, settings)


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


def enqueue_document(
    connection: Connection,
    company_id: int,
    given: EmailDocument | SmsDocument,
    settings: Settings,
) -> Enqueued:
    """Enqueue what a document says, in the caller's transaction.

    Raises:
        ContentError: it cannot be sent as it is.
        RegisterError: an establishment or automatic task that it names is not there.
    """
    common: dict[str, Any] = {
        "company_id": company_id,
        "establishment_id": _id_of(connection, Establishment, given.establishment, company_id),
        "task_id": _id_of(connection, AutomaticTask, given.task, company_id),
        "priority": Priority[given.priority.upper()],
        "not_before": given.not_before,
        "expires_at": given.expires_at,
        "reference": given.reference,
        "idempotency_key": given.idempotency_key,
        "fields": given.fields,
    }
    if isinstance(given, SmsDocument):
        own: dict[str, Any] = {"sender": given.sender, "transliterate": given.transliterate}
        draft = SmsDraft(number=given.number, text=given.text, **own, **common)
        return enqueue_sms(connection, draft)
    return enqueue(connection, Draft(**common, **_letter(given)), settings)


def _letter(given: EmailDocument) -> dict[str, Any]:
    parts = tuple(
        AttachmentPart(one.filename, one.content_type, one.content, one.content_id)
        for one in given.attachments
    )
    return {
        **{name: getattr(given, name) for name in ("to", "cc", "bcc", "reply_to")},
        **{name: getattr(given, name) for name in ("subject", "text", "html", "list_unsubscribe")},
        "headers": tuple(given.headers.items()),
        "attachments": parts,
    }


def _id_of(connection: Connection, table: Any, name: str | None, company_id: int) -> int | None:
    return None if name is None else int(find(connection, table, name, company_id).id)
