"""What runs, and what the operator has ordered for all of it."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from models.base import Base, CreatedAt, Id


class Server(Base):
    """An OAC server: a named group of worker processes; registers itself by heartbeat."""

    __tablename__ = "server"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint("name ~ '^[a-z][a-z0-9-]{0,30}$'", name="name"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    paused: Mapped[bool] = mapped_column(server_default="false")
    left_at: Mapped[datetime | None]
    """When a process of it was last stopped in order; its row is gone since."""
    created_at: Mapped[CreatedAt]


class Process(Base):
    """One running `kadencia worker`, with its control process and its sending processes."""

    __tablename__ = "process"
    __table_args__ = (
        Index(None, "server_id"),
        CheckConstraint("slots >= 0 AND sms_slots >= 0 AND slots + sms_slots > 0", name="slots"),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("server.id"))
    host: Mapped[str]
    pid: Mapped[int]
    version: Mapped[str]
    slots: Mapped[int]
    """How many e-mails it can send at once; 0 if it takes none."""
    sms_slots: Mapped[int] = mapped_column(server_default="0")
    """How many SMS it can send at once; 0 if it takes none."""
    clock_offset_ms: Mapped[float] = mapped_column(server_default="0")
    """Its host's clock less PostgreSQL's, at the last heartbeat."""
    stands_in: Mapped[bool] = mapped_column(server_default="false")
    """It takes the tasks of other servers too; version 0.1.0 does not."""
    started_at: Mapped[CreatedAt]
    beat_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    control_answered_at: Mapped[datetime | None]
    send_answered_at: Mapped[datetime | None]
    eurosms_answered_at: Mapped[datetime | None]


class Installation(Base):
    """The one row of what holds for the whole fleet."""

    __tablename__ = "installation"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row"),
        CheckConstraint("NOT restored OR stopped_at IS NOT NULL", name="restored_is_stopped"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, server_default="1")
    generation: Mapped[int] = mapped_column(server_default="0")
    """The throttle's generation: a new one, of a sequence, for each rebuild of its log."""
    stopped_at: Mapped[datetime | None]
    stopped_why: Mapped[str | None]
    restored: Mapped[bool] = mapped_column(server_default="false")
    """Restored from a backup and not yet released by a person."""
    redirect_to: Mapped[str | None]
    """Safety: every mail goes to this address instead."""
    allowed: Mapped[list[str] | None] = mapped_column(ARRAY(Text()))
    """Safety: only these addresses, or domains written as `@domain`, are let through."""
    oldest_schema: Mapped[str] = mapped_column(server_default="0001")
    """The oldest revision whose version of the product works with this schema."""
    beat_at: Mapped[datetime | None]
    """When a beat last looked for what is due; written every few seconds."""


class Alarm(Base):
    """Something that a person should look at; open until what caused it has gone."""

    __tablename__ = "alarm"
    __table_args__ = (
        Index(
            "uq_alarm_open",
            "kind",
            "subject",
            unique=True,
            postgresql_where=text("cleared_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    kind: Mapped[str]
    subject: Mapped[str]
    what: Mapped[str]
    raised_at: Mapped[CreatedAt]
    cleared_at: Mapped[datetime | None]
    notified_at: Mapped[datetime | None]
