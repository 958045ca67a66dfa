"""Files that companies hand in by themselves, for e-mails that will name them."""

from __future__ import annotations

from hashlib import sha256

from sqlalchemy import Connection, text

from worker.outbox.inbox import file

KEEP = text("""
    INSERT INTO upload (company_id, attachment_id) VALUES (:company, :attachment)
    ON CONFLICT (company_id, attachment_id) DO UPDATE SET uploaded_at = clock_timestamp()
""")

# By company: whoever knows a digest alone must not come by the file.
READ = text("""
    SELECT a.data FROM upload u JOIN attachment a ON a.id = u.attachment_id
    WHERE u.company_id = :company AND a.digest = :digest
""")


def keep(connection: Connection, company: int, content: bytes | bytearray) -> bytes:
    """Keep a file for a company, a day at least; returns its SHA-256."""
    digest = sha256(content).digest()
    attachment = file(connection, digest, content)
    connection.execute(KEEP, {"company": company, "attachment": attachment})
    return digest


def read(connection: Connection, company: int, digest: bytes) -> bytes | None:
    """A file that the company has handed in; None if it has not, or too long ago."""
    found = connection.execute(READ, {"company": company, "digest": digest}).scalar()
    return None if found is None else bytes(found)
