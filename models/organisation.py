"""Who owns what: company, establishment, user; and the log of who changed what."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Id


class Company(Base):
    """One accounting unit; owns everything below."""

    __tablename__ = "company"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint("name <> ''", name="name"),
        CheckConstraint("domain ~ '^[a-z0-9.-]+$'", name="domain"),
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    domain: Mapped[str]
    """The right-hand side of the Message-ID of what the company sends."""
    time_zone: Mapped[str] = mapped_column(server_default="Europe/Bratislava")
    country: Mapped[str] = mapped_column(server_default="SK")
    """Of telephone numbers that are written without a calling code (ISO 3166-1 alpha-2)."""
    created_at: Mapped[CreatedAt]


class Establishment(Base):
    """A branch or shop of a company."""

    __tablename__ = "establishment"
    __table_args__ = (
        UniqueConstraint("company_id", "name"),
        UniqueConstraint("id", "company_id"),
        CheckConstraint("name <> ''", name="name"),
    )

    id: Mapped[Id]
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"))
    name: Mapped[str]


class User(Base):
    """A person (standard), or an identity under which automatic tasks run (system)."""

    __tablename__ = "user"
    __table_args__ = (
        UniqueConstraint("company_id", "name"),
        UniqueConstraint("id", "company_id", "kind"),
        CheckConstraint("kind IN ('standard', 'system')", name="kind"),
        # A system user can never log in, so it can't administer either.
        CheckConstraint("NOT (administrator AND kind = 'system')", name="administrator"),
        CheckConstraint("name <> ''", name="name"),
    )

    id: Mapped[Id]
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"))
    name: Mapped[str]
    kind: Mapped[str]
    administrator: Mapped[bool] = mapped_column(server_default="false")
    disabled: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[CreatedAt]


class AuditEntry(Base):
    """Who changed what, and when; changed limits are written by a trigger."""

    __tablename__ = "audit_log"
    __table_args__ = (Index(None, "subject", "at"),)

    id: Mapped[Id]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    who: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    """The kind and id of what was changed, as in `task:3`."""
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
