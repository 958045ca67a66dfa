"""What a person does about documents that were rejected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from worker.core.content import ContentError
from worker.intake import rows
from worker.intake.documents import loaded
from worker.registers import RegisterError, audit


def look(connection: Connection, intake_id: int) -> dict[str, Any]:
    """One row with what was handed in; of attachments only the names and sizes.

    Raises:
        RegisterError: there is none of that number.
    """
    found = rows.listing(connection, rows.Look(id=intake_id))
    if not found:
        raise _unknown([intake_id])
    return {**found[0], "document": _readable(rows.document(connection, intake_id))}


def retry(connection: Connection, ids: Sequence[int] | None) -> list[int]:
    """Have rejected documents taken in anew, all of them for None; returns which.

    Raises:
        RegisterError: one is not rejected; nothing was changed.
    """
    return _moved(connection, "retry", ids, rows.retry(connection, ids))


def dismiss(connection: Connection, ids: Sequence[int] | None) -> list[int]:
    """Give rejected documents up and drop their content; returns which.

    Raises:
        RegisterError: one is not rejected; nothing was changed.
    """
    return _moved(connection, "dismiss", ids, rows.dismiss(connection, ids))


def _moved(
    connection: Connection, action: str, ids: Sequence[int] | None, moved: list[int]
) -> list[int]:
    missing = sorted(set(ids or ()) - set(moved))
    if missing:
        raise _unknown(missing)
    for one in moved:
        audit.record(connection, action, f"intake:{one}")
    return moved


def _unknown(ids: Sequence[int]) -> RegisterError:
    named = ", ".join(map(str, ids))
    return RegisterError(
        f"nothing rejected has the number {named}", "see `kadencia intake list` for what was"
    )


def _readable(text: str | None) -> dict[str, Any] | None:
    try:
        return None if text is None else _brief(loaded(text))
    except ContentError as error:
        return {"note": f"cannot be shown: {error.what}"}


def _brief(document: dict[str, Any] | None) -> dict[str, Any] | None:
    files = (document or {}).get("attachments")
    if not document or not isinstance(files, list):
        return document
    return {**document, "attachments": [_without_content(one) for one in files]}


def _without_content(one: Any) -> Any:
    if not isinstance(one, dict):
        return one
    return {**one, "content": f"{len(str(one.get('content', '')))} characters"}
