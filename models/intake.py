"""What services hand in by SQL or by Celery, until it is a message; and who may do so by SQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Id, one_of
from models.states import Channel, IntakeSource, IntakeState


class Intake(Base):
    """One document as a service handed it in, and what became of it."""

    __tablename__ = "intake"
    __table_args__ = (
        CheckConstraint(one_of("channel", Channel), name="channel"),
        CheckConstraint(one_of("source", IntakeSource), name="source"),
        CheckConstraint(one_of("state", IntakeState), name="state"),
        CheckConstraint("priority BETWEEN 0 AND 2", name="priority"),
        # Only who waits or was rejected needs the content: the rest has it in its message.
        CheckConstraint(
            "(document IS NOT NULL) = (state IN ('waiting', 'rejected'))", name="document"
        ),
        CheckConstraint("(message_id IS NOT NULL) = (state = 'accepted')", name="message"),
        CheckConstraint("(settled_at IS NULL) = (state = 'waiting')", name="settled"),
        Index(
            "uq_intake_idempotency_key",
            "source",
            "company_id",
            "idempotency_key",
            unique=True,
            postgresql_where=sql("idempotency_key IS NOT NULL"),
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_intake_waiting", "priority", "id", postgresql_where=sql("state = 'waiting'")),
        Index("ix_intake_rejected", "id", postgresql_where=sql("state = 'rejected'")),
        Index("ix_intake_dismissed", "settled_at", postgresql_where=sql("state = 'dismissed'")),
        Index(None, "message_id"),
    )

    id: Mapped[Id]
    company_id: Mapped[int | None] = mapped_column(ForeignKey("company.id"))
    """Absent only where what was rejected names none that there is."""
    channel: Mapped[str]
    source: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="waiting")
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    document: Mapped[dict[str, Any] | None]
    """As `worker.intake.documents` reads it, with the version of its schema."""
    digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Of what was handed in under the key, to tell a repeat from a conflict."""
    idempotency_key: Mapped[str | None]
    why: Mapped[str | None]
    """Why it was rejected."""
    message_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("message.id", ondelete="CASCADE")
    )
    origin: Mapped[str | None]
    """Who handed it in: the SQL role, or the process that sent the task, as it calls itself."""
    created_at: Mapped[CreatedAt]
    settled_at: Mapped[datetime | None]


class SqlRole(Base):
    """A role of PostgreSQL that may enqueue for a company with the functions of `kadencia`."""

    __tablename__ = "sql_role"

    role: Mapped[str] = mapped_column(primary_key=True)
    company_id: Mapped[int] = mapped_column(
        ForeignKey("company.id", ondelete="CASCADE"), primary_key=True
    )
    created_at: Mapped[CreatedAt]
