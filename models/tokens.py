"""Who may use the HTTP API, and what it keeps for those who do."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from models.base import Base, CreatedAt, Id


class Scope(StrEnum):
    """What a token allows."""

    EMAILS_WRITE = "emails:write"
    EMAILS_READ = "emails:read"
    SMS_WRITE = "sms:write"
    SMS_READ = "sms:read"
    WEBHOOKS_WRITE = "webhooks:write"
    WEBHOOKS_READ = "webhooks:read"


class ApiToken(Base):
    """What another service shows to act for one company."""

    __tablename__ = "api_token"
    __table_args__ = (
        CheckConstraint("name <> ''", name="name"),
        CheckConstraint("cardinality(scopes) > 0", name="scopes"),
        CheckConstraint("octet_length(digest) = 32", name="digest"),
        # A revoked token's name may be given again.
        Index(
            "uq_api_token_name",
            "company_id",
            "name",
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[Id]
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"))
    name: Mapped[str]
    """Of the service that uses it."""
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the secret, which is 256 bits of chance: nobody can guess their way back."""
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """To the minute."""


class ApiRequest(Base):
    """What was asked for when a message was enqueued by HTTP under an idempotency key.

    It goes with its message, as the key does.
    """

    __tablename__ = "api_request"
    __table_args__ = (CheckConstraint("octet_length(digest) = 32", name="digest"),)

    message_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("message.id", ondelete="CASCADE"), primary_key=True
    )
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """Of the whole request, to tell a repeat from another one under the same key."""


class Upload(Base):
    """A file that a company has handed in by itself, for e-mails that will name it."""

    __tablename__ = "upload"
    __table_args__ = (Index(None, "attachment_id"), Index(None, "uploaded_at"))

    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"), primary_key=True)
    attachment_id: Mapped[int] = mapped_column(ForeignKey("attachment.id"), primary_key=True)
    uploaded_at: Mapped[CreatedAt]
