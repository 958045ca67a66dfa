"""From a document to the draft that it means."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from models.automation import AutomaticTask
from models.organisation import Establishment
from models.states import Priority
from settings import Settings
from worker.compose import AttachmentPart
from worker.enqueueing import Draft, Enqueued, SmsDraft, enqueue, enqueue_sms
from worker.intake.documents import EmailDocument, SmsDocument
from worker.registers.naming import find


def enqueue_draft(connection: Connection, draft: Draft | SmsDraft, settings: Settings) -> Enqueued:
    """Enqueue a draft, in the caller's transaction.

    Raises:
        ContentError: it cannot be sent as it is.
    """
    if isinstance(draft, SmsDraft):
        return enqueue_sms(connection, draft)
    return enqueue(connection, draft, settings)


def draft_of(
    connection: Connection, company_id: int, given: EmailDocument | SmsDocument
) -> Draft | SmsDraft:
    """The draft that a document means.

    Raises:
        ContentError: an attachment is not fit to be sent.
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
        return SmsDraft(number=given.number, text=given.text, **own, **common)
    return Draft(**common, **_letter(given))


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
