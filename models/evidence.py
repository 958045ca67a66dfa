"""The evidence: attempts, and the receipts that came for them."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    Numeric,
    SmallInteger,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Id, one_of
from models.states import AttemptState


class Attempt(Base):
    """One hand-over, opened at the claim; the evidence, and the source of every count."""

    __tablename__ = "attempt"
    __table_args__ = (
        CheckConstraint(one_of("state", AttemptState), name="state"),
        CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed"),
        CheckConstraint("cost > 0", name="cost"),
        Index(None, "message_id"),
        Index(None, "task_id", "opened_at"),
        Index(None, "account_id", "opened_at"),
        Index(None, "opened_at"),
        Index("ix_attempt_open", "opened_at", postgresql_where=text("state = 'open'")),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    """The lease token it was claimed with, and the permit's id."""
    message_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("message.id", ondelete="CASCADE")
    )
    task_id: Mapped[int] = mapped_column(ForeignKey("automatic_task.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    worker: Mapped[str]
    """OAC server, host and process that made it."""
    state: Mapped[str] = mapped_column(server_default="open")
    opened_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    closed_at: Mapped[datetime | None]
    cost: Mapped[int] = mapped_column(SmallInteger)
    domains: Mapped[dict[str, Any]]
    """Envelope recipients of each domain."""
    phase: Mapped[str | None]
    code: Mapped[int | None] = mapped_column(SmallInteger)
    enhanced: Mapped[str | None]
    text: Mapped[str | None]
    price: Mapped[Decimal | None] = mapped_column(Numeric(12, 4))
    """What an SMS is thought to cost, in EUR, or has cost; of another outcome than sent, 0."""
    replies: Mapped[list[Any] | None]
    """The far side's words on each recipient, where they differ from those on the message."""


class Receipt(Base):
    """What a report said of one recipient of a message that was handed over."""

    __tablename__ = "receipt"
    __table_args__ = (
        UniqueConstraint("message_id", "digest"),
        CheckConstraint(
            "action IN ('failed', 'delayed', 'delivered', 'relayed', 'expanded')", name="action"
        ),
    )

    id: Mapped[Id]
    message_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("message.id", ondelete="CASCADE")
    )
    position: Mapped[int | None] = mapped_column(SmallInteger)
    """Of the recipient; absent if the report names one that the message does not have."""
    at: Mapped[CreatedAt]
    """When it was taken in."""
    address: Mapped[str]
    """As the report has it; mail may have been forwarded."""
    action: Mapped[str]
    status: Mapped[str | None]
    """RFC 3463."""
    diagnostic: Mapped[str | None]
    remote_mta: Mapped[str | None]
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """Of what the report says, so that taking it twice is harmless."""
