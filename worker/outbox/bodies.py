"""Reading what a message says: texts and files, as they were stored at enqueue."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, text

BODY = text("SELECT text, html, template FROM body WHERE id = :id")

FILES = text("""
    SELECT f.filename, f.content_type, f.content_id, a.data
    FROM body_attachment f JOIN attachment a ON a.id = f.attachment_id
    WHERE f.body_id = :id ORDER BY f.position
""")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a body."""

    name: str
    media_type: str
    content_id: str | None
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredBody:
    """Texts and files; `template` tells whether the texts are filled with a message's fields."""

    text: str | None = field(repr=False)
    html: str | None = field(repr=False)
    template: bool
    files: tuple[StoredFile, ...]


def read_body(connection: Connection, body_id: int) -> StoredBody:
    """A body with its files."""
    body = connection.execute(BODY, {"id": body_id}).one()
    files = connection.execute(FILES, {"id": body_id})
    return StoredBody(
        body.text,
        body.html,
        body.template,
        tuple(StoredFile(f.filename, f.content_type, f.content_id, bytes(f.data)) for f in files),
    )
