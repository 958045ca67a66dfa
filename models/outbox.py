"""The outbox: messages, their recipients and content, attempts, receipts, suppressions."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from models.base import Base, CreatedAt, Id, one_of
from models.states import Channel, MessageState, RecipientKind, RecipientState

READY = text("state = 'ready'")


class Lane(Base):
    """Messages that the same automatic tasks may take; hot queries go lane by lane.

    One company, one channel, one establishment or none, one named task or none.
    """

    __tablename__ = "lane"
    __table_args__ = (
        UniqueConstraint(
            "company_id",
            "channel",
            "establishment_id",
            "task_id",
            postgresql_nulls_not_distinct=True,
        ),
        UniqueConstraint("id", "company_id", "channel"),
        CheckConstraint(one_of("channel", Channel), name="channel"),
        ForeignKeyConstraint(
            ["establishment_id", "company_id"], ["establishment.id", "establishment.company_id"]
        ),
        ForeignKeyConstraint(
            ["task_id", "company_id", "channel"],
            ["automatic_task.id", "automatic_task.company_id", "automatic_task.channel"],
        ),
    )

    id: Mapped[Id]
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"))
    channel: Mapped[str] = mapped_column(server_default="email")
    establishment_id: Mapped[int | None]
    task_id: Mapped[int | None]


class Body(Base):
    """Text, HTML and attachments, kept once however many messages share them."""

    __tablename__ = "body"
    __table_args__ = (
        UniqueConstraint("digest"),
        CheckConstraint("num_nonnulls(text, html) >= 1", name="not_empty"),
    )

    id: Mapped[Id]
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    text: Mapped[str | None]
    html: Mapped[str | None]
    template: Mapped[bool]
    """Whether text and html are templates, filled with each message's fields."""
    size: Mapped[int]
    created_at: Mapped[CreatedAt]


class Attachment(Base):
    """The octets of a file, kept once by their SHA-256."""

    __tablename__ = "attachment"
    __table_args__ = (UniqueConstraint("digest"),)

    id: Mapped[Id]
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class BodyAttachment(Base):
    """A file of a body, under a name and a type."""

    __tablename__ = "body_attachment"
    __table_args__ = (Index(None, "attachment_id"),)

    body_id: Mapped[int] = mapped_column(
        ForeignKey("body.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    attachment_id: Mapped[int] = mapped_column(ForeignKey("attachment.id"))
    filename: Mapped[str]
    content_type: Mapped[str]
    content_id: Mapped[str | None]


class Message(Base):
    """One row of the outbox: one e-mail to its recipients, or one SMS to one number."""

    __tablename__ = "message"
    __table_args__ = (
        ForeignKeyConstraint(
            ["lane_id", "company_id", "channel"], ["lane.id", "lane.company_id", "lane.channel"]
        ),
        CheckConstraint("(channel = 'email') = (subject IS NOT NULL)", name="subject"),
        CheckConstraint(one_of("state", MessageState), name="state"),
        CheckConstraint("priority BETWEEN 0 AND 2", name="priority"),
        CheckConstraint(
            "(state IN ('released', 'sending')) = (lease IS NOT NULL AND deadline IS NOT NULL)",
            name="lease",
        ),
        CheckConstraint("state NOT IN ('released', 'sending') OR task_id IS NOT NULL", name="task"),
        CheckConstraint(
            "(state IN ('ready', 'released', 'sending', 'held', 'unknown')) = (settled_at IS NULL)",
            name="settled",
        ),
        CheckConstraint("cost > 0", name="cost"),
        Index(
            "uq_message_idempotency_key",
            "company_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        # The sweep's two ways in: by age, and domain by domain when some domains are full.
        Index("ix_message_ready", "lane_id", "priority", "not_before", postgresql_where=READY),
        Index(
            "ix_message_ready_domain",
            "lane_id",
            "priority",
            "domain",
            "not_before",
            postgresql_where=READY,
        ),
        Index(
            "ix_message_leased",
            "task_id",
            "deadline",
            postgresql_where=text("state IN ('released', 'sending')"),
        ),
        Index(
            "ix_message_expires", "expires_at", postgresql_where=text("state IN ('ready', 'held')")
        ),
        Index(
            "ix_message_parked",
            "state",
            "id",
            postgresql_where=text("state IN ('held', 'unknown')"),
        ),
        Index("ix_message_settled", "settled_at", postgresql_where=text("settled_at IS NOT NULL")),
        Index(None, "company_id", "id"),
        Index(
            "ix_message_reference",
            "company_id",
            "reference",
            "id",
            postgresql_where=text("reference IS NOT NULL"),
        ),
        Index(None, "body_id"),
        # Receipts name a message by it. A hash: it is long, by chance, and only ever equal.
        Index("ix_message_message_id", "message_id", postgresql_using="hash"),
        # A busy queue of updates: leave room for heap-only ones, and vacuum early.
        {
            "postgresql_with": {
                "fillfactor": "85",
                "autovacuum_vacuum_scale_factor": "0.02",
                "autovacuum_vacuum_threshold": "5000",
            }
        },
    )

    id: Mapped[Id]
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"))
    lane_id: Mapped[int]
    channel: Mapped[str] = mapped_column(server_default="email")
    state: Mapped[str] = mapped_column(server_default="ready")
    priority: Mapped[int] = mapped_column(SmallInteger)
    not_before: Mapped[datetime]
    expires_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]
    settled_at: Mapped[datetime | None]
    lease: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    """The fence: a worker acts only while this is its token; the attempt's id as well."""
    deadline: Mapped[datetime | None]
    task_id: Mapped[int | None] = mapped_column(ForeignKey("automatic_task.id"))
    """The automatic task that released it last."""
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """Charged attempts."""
    unknowns: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """How often it became unknown; a second time it is held whatever the policy."""
    why: Mapped[str | None]
    """Why it stands where it stands, in a few words."""
    domain: Mapped[str]
    """The first recipient's domain; of an SMS the number's calling code."""
    domains: Mapped[dict[str, Any] | None]
    """Pending recipients of each domain, where they are in several."""
    cost: Mapped[int] = mapped_column(SmallInteger)
    """Envelope recipients still to be reached, or segments of an SMS: what a permit costs."""
    message_id: Mapped[str]
    """The Message-ID header, or an SMS's own key: fixed at enqueue, the same in every attempt."""
    subject: Mapped[str | None]
    body_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("body.id"))
    """Absent once retention has dropped the body."""
    fields: Mapped[dict[str, Any] | None]
    """What fills the body's template."""
    reply_to: Mapped[list[str] | None] = mapped_column(ARRAY(Text()))
    list_unsubscribe: Mapped[list[str] | None] = mapped_column(ARRAY(Text()))
    headers: Mapped[list[Any] | None]
    """Own headers, as pairs."""
    idempotency_key: Mapped[str | None]
    digest: Mapped[bytes | None]
    """Of what was enqueued under the idempotency key, to tell a repeat from a conflict."""
    reference: Mapped[str | None]
    """The enqueuer's own reference."""
    traceparent: Mapped[str | None] = mapped_column(
        server_default=text("nullif(current_setting('kadencia.traceparent', true), '')")
    )
    """Trace and span of the enqueue (W3C Trace Context), if its transaction says one."""


class Recipient(Base):
    """One envelope recipient."""

    __tablename__ = "recipient"
    __table_args__ = (
        CheckConstraint(one_of("state", RecipientState), name="state"),
        CheckConstraint(one_of("kind", RecipientKind), name="kind"),
        CheckConstraint("cost > 0", name="cost"),
        Index(None, "address"),
    )

    message_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("message.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(server_default="to")
    address: Mapped[str]
    """A number (E.164), or addr-spec (RFC 5322 section 3.4.1): A-labels, domain in lower case."""
    domain: Mapped[str]
    cost: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    """What a permit for it costs."""
    name: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="pending")
    reply: Mapped[str | None]
    """The far side's last words on this recipient."""


class Suppression(Base):
    """An address or number that must not be written to, and why; checked at the claim."""

    __tablename__ = "suppression"
    __table_args__ = (CheckConstraint("address = lower(address)", name="lower_case"),)

    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"), primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    why: Mapped[str]
    created_at: Mapped[CreatedAt]
