"""What only some SMTP accounts have, and the accounts that an automatic task falls back to."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class SmtpOption(Base):
    """How an SMTP account differs from the usual; one without a row is usual in all."""

    __tablename__ = "smtp_option"
    __table_args__ = (
        CheckConstraint(
            "log_in IN ('plain', 'login', 'cram-md5', 'xoauth2', 'oauthbearer')", name="log_in"
        ),
        CheckConstraint("key_file IS NULL OR cert_file IS NOT NULL", name="certificate"),
        CheckConstraint(
            "dsn <@ ARRAY['failure', 'delay', 'success'] OR dsn = ARRAY['never']", name="dsn"
        ),
        CheckConstraint("cardinality(dsn) > 0", name="dsn_says_something"),
        CheckConstraint("dsn_return IN ('headers', 'full')", name="dsn_return"),
    )

    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), primary_key=True
    )
    log_in: Mapped[str | None]
    """The only mechanism to log in by; absent: the best that the server offers."""
    cert_file: Mapped[str | None]
    """The client's certificate chain, PEM, on each worker's host."""
    key_file: Mapped[str | None]
    """Its private key; absent: in the certificate's file."""
    dsn: Mapped[list[str] | None] = mapped_column(ARRAY(Text()))
    """Of what recipients' servers are asked to report (RFC 3461); absent: nothing is asked."""
    dsn_return: Mapped[str | None]
    """How much of the mail a report brings back; absent: as the servers like."""


class SmtpOauth(Base):
    """Where an SMTP account has its access tokens from (OAuth 2, RFC 6749), and the present one.

    The user name stands here and not in `account`, where it would need a password.
    """

    __tablename__ = "smtp_oauth"
    __table_args__ = (
        CheckConstraint(
            "grant_type IN ('client_credentials', 'refresh_token')",
            name="grant_type",
        ),
        CheckConstraint(
            "(refresh_token IS NOT NULL) = (grant_type = 'refresh_token')", name="refresh_token"
        ),
        CheckConstraint(
            "grant_type <> 'client_credentials' OR client_secret IS NOT NULL", name="client_secret"
        ),
        CheckConstraint(
            "num_nonnulls(access_token, obtained_at, renew_at, expires_at) IN (0, 4)",
            name="token_is_whole",
        ),
    )

    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), primary_key=True
    )
    username: Mapped[str]
    """The mailbox as which to log in."""
    token_url: Mapped[str]
    ca_file: Mapped[str | None]
    """PEM file with the authorities to trust for the token server in place of the system's."""
    grant_type: Mapped[str]
    client_id: Mapped[str]
    client_secret: Mapped[bytes | None]
    """Encrypted at rest, as are the tokens (`worker/vault.py`)."""
    scope: Mapped[str | None]
    refresh_token: Mapped[bytes | None]
    access_token: Mapped[bytes | None]
    obtained_at: Mapped[datetime | None]
    renew_at: Mapped[datetime | None]
    """From when on a new one is asked for; the old one is good until it expires."""
    expires_at: Mapped[datetime | None]


class TaskAccount(Base):
    """An SMTP account that an automatic task falls back to, by `position`, from 1."""

    __tablename__ = "task_account"
    __table_args__ = (
        UniqueConstraint("account_id", "task_id"),
        ForeignKeyConstraint(
            ["task_id", "company_id", "channel"],
            ["automatic_task.id", "automatic_task.company_id", "automatic_task.channel"],
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["account_id", "company_id", "channel"],
            ["account.id", "account.company_id", "account.channel"],
        ),
        CheckConstraint("channel = 'email'", name="channel"),
        CheckConstraint("position BETWEEN 1 AND 9", name="position"),
    )

    task_id: Mapped[int] = mapped_column(BigInteger(), primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger(), primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger())
    company_id: Mapped[int] = mapped_column(BigInteger())
    channel: Mapped[str] = mapped_column(server_default="email")


class Detour(Base):
    """A release through an account that its task fell back to.

    It holds for that lease alone; whatever is released without one goes through the task's own.
    """

    __tablename__ = "detour"

    message_id: Mapped[int] = mapped_column(
        ForeignKey("message.id", ondelete="CASCADE"), primary_key=True
    )
    lease: Mapped[uuid.UUID]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
