"""Writing to the audit log, and changing a row so that the log says what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, insert, inspect, null, select, update

from models.base import Base
from models.organisation import AuditEntry

SECRET = "sealed"  # noqa: S105  what the log says in place of one
WHO = func.coalesce(
    func.nullif(func.current_setting("kadencia.who", True), ""),
    func.concat("database:", func.current_user()),
)
"""As `worker.db.transaction` signed it; the triggers of `models/triggers.py` do the same."""


def record(
    connection: Connection,
    action: str,
    subject: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write one entry.

    Args:
        connection: of the change itself, so that both are committed or neither.
        action: a verb, as in `pause`.
        subject: the kind and id of what was changed, as in `task:3`.
        before: what was changed, as it was.
        after: the same as it is now. Octets are secrets, and left out of both.
    """
    connection.execute(
        insert(AuditEntry).values(
            who=WHO, action=action, subject=subject, before=_plain(before), after=_plain(after)
        )
    )


def add(connection: Connection, table: type[Base], kind: str, values: Mapping[str, Any]) -> int:
    """Insert a row and log it; returns its id."""
    made: int = connection.execute(
        insert(table).values(dict(values)).returning(table.__table__.c.id)
    ).scalar_one()
    record(connection, "create", f"{kind}:{made}", after=values)
    return made


def change(
    connection: Connection,
    table: type[Base],
    kind: str,
    row_id: int,
    values: Mapping[str, Any],
    action: str = "change",
) -> dict[str, Any]:
    """Update the row of that primary key and log what differs; returns that, {} if nothing does."""
    columns = table.__table__.c
    (key,) = inspect(table).primary_key
    found = connection.execute(
        select(*(columns[name] for name in values)).where(key == row_id).with_for_update()
    ).one()
    before = dict(found._mapping)
    differing = {name: value for name, value in values.items() if before[name] != value}
    if differing:
        connection.execute(update(table).where(key == row_id).values(differing))
        was = {name: before[name] for name in differing}
        record(connection, action, f"{kind}:{row_id}", was, differing)
    return differing


def entries(
    connection: Connection,
    since: datetime,
    until: datetime,
    *,
    who: str | None,
    subject: str | None,
    most: int,
) -> list[dict[str, Any]]:
    """Who changed what, newest first.

    Args:
        connection: to read with.
        since: aware; from when on.
        until: aware; before when.
        who: only theirs; None for everyone's.
        subject: a kind ("task") or one of it ("task:3"); None for all.
        most: no more entries than this.
    """
    query = select(AuditEntry.__table__).where(AuditEntry.at >= since, AuditEntry.at < until)
    if who is not None:
        query = query.where(AuditEntry.who == who)
    if subject is not None:
        one = ":" in subject
        query = query.where(
            AuditEntry.subject == subject
            if one
            else AuditEntry.subject.startswith(f"{subject}:", autoescape=True)
        )
    newest = query.order_by(AuditEntry.at.desc(), AuditEntry.id.desc()).limit(most)
    return [dict(row) for row in connection.execute(newest).mappings()]


def _plain(values: Mapping[str, Any] | None) -> Any:
    if values is None:
        return null()  # SQL's, as the triggers write it; None would become JSON's
    return {name: _loggable(value) for name, value in values.items()}


def _loggable(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return SECRET
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, date | time) else value
