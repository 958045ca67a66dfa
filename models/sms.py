"""What SMS have beyond other messages: their text, segments, delivery reports, prices."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

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
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Id

PRICE = Numeric(12, 4)
"""EUR."""


class EurosmsAccount(Base):
    """How an account at EuroSMS is reached and billed; 1:1 to its `account`."""

    __tablename__ = "eurosms_account"
    __table_args__ = (
        CheckConstraint("digest IN ('sha1', 'sha256')", name="digest"),
        CheckConstraint("connect_timeout > 0 AND answer_timeout > 0", name="time_outs"),
        CheckConstraint("poll_seconds >= 1", name="poll_seconds"),
        CheckConstraint("price >= 0", name="price"),
        Index(None, "push_secret", unique=True),
    )

    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), primary_key=True
    )
    base_url: Mapped[str]
    """Scheme and host, without a path."""
    integration_id: Mapped[str]
    key: Mapped[bytes] = mapped_column(LargeBinary)
    """The integration key, encrypted at rest (`worker/vault.py`)."""
    digest: Mapped[str] = mapped_column(server_default="sha1")
    """Of the HMAC that signs requests."""
    time_zone: Mapped[str] = mapped_column(server_default="Europe/Bratislava")
    """Of the times in reports, which name no zone."""
    verify: Mapped[bool] = mapped_column(server_default="true")
    ca_file: Mapped[str | None]
    connect_timeout: Mapped[float] = mapped_column(server_default="10")
    answer_timeout: Mapped[float] = mapped_column(server_default="30")
    poll_seconds: Mapped[float] = mapped_column(server_default="20")
    """How often delivery reports are asked for while some are awaited."""
    price: Mapped[Decimal | None] = mapped_column(PRICE)
    """For each segment where reports have not yet shown one."""
    balance: Mapped[Decimal | None] = mapped_column(PRICE)
    """As it was last seen."""
    balance_at: Mapped[datetime | None]
    push_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    """SHA-256 of the last part of the path to which reports are pushed."""
    push_from: Mapped[list[Any] | None]
    """Networks from which they are taken; absent: from any."""


class SmsTask(Base):
    """What an automatic task that sends SMS is set to, beyond any other; 1:1."""

    __tablename__ = "sms_task"
    __table_args__ = (
        CheckConstraint("validity_seconds BETWEEN 60 AND 604800", name="validity"),
        CheckConstraint("budget_day >= 0 AND budget_month >= 0", name="budgets"),
    )

    task_id: Mapped[int] = mapped_column(
        ForeignKey("automatic_task.id", ondelete="CASCADE"), primary_key=True
    )
    sender: Mapped[str]
    """Of SMS that name none of their own."""
    diacritics: Mapped[bool] = mapped_column(server_default="true")
    """Whether texts may need UCS-2; else they are transliterated."""
    long_texts: Mapped[bool] = mapped_column(server_default="true")
    """Whether texts may need several segments."""
    high_priority: Mapped[bool] = mapped_column(server_default="false")
    validity_seconds: Mapped[int] = mapped_column(server_default="172800")
    """How long the gateway keeps trying to deliver."""
    unknown_hours: Mapped[int] = mapped_column(server_default="24")
    """How long a report is waited for before the policy for unknown SMS is followed."""
    budget_day: Mapped[Decimal | None] = mapped_column(PRICE)
    budget_month: Mapped[Decimal | None] = mapped_column(PRICE)
    exhausted_until: Mapped[datetime | None]
    """A budget was too small for the next SMS: nothing is released before this."""


class SmsSpend(Base):
    """What an automatic task's SMS cost on a day of its company, in EUR."""

    __tablename__ = "sms_spend"

    task_id: Mapped[int] = mapped_column(
        ForeignKey("automatic_task.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[date] = mapped_column(primary_key=True)
    spent: Mapped[Decimal] = mapped_column(PRICE)


class Sms(Base):
    """The text of an SMS and what its delivery reports have shown; 1:1 to its `message`."""

    __tablename__ = "sms"
    __table_args__ = (
        CheckConstraint("encoding IN ('gsm', 'ucs2')", name="encoding"),
        CheckConstraint("segments BETWEEN 1 AND 10", name="segments"),
        # Who is near the end of the days for which the gateway keeps reports.
        Index(
            "ix_sms_awaited",
            "sent_at",
            postgresql_where=text("awaited"),
        ),
    )

    message_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("message.id", ondelete="CASCADE"), primary_key=True
    )
    sender: Mapped[str | None]
    """Absent: the automatic task's."""
    text: Mapped[str | None]
    """Absent once retention has dropped it."""
    encoding: Mapped[str]
    segments: Mapped[int] = mapped_column(SmallInteger)
    awaited: Mapped[bool] = mapped_column(server_default="false")
    """Accepted by the gateway, and no final report of all segments yet."""
    asked_at: Mapped[datetime | None]
    """When the gateway was last asked about this SMS alone."""
    unconfirmed_at: Mapped[datetime | None]
    """When it was given up to wait for a final report."""
    sent_at: Mapped[datetime | None]
    """When the gateway accepted it; of one known by reports alone, as they say."""
    delivered_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    status: Mapped[str | None]
    """The gateway's word on it: of the segment that decides."""
    operator: Mapped[str | None]
    """Network of the recipient, MCC.MNC."""
    price: Mapped[Decimal | None] = mapped_column(PRICE)
    """Of all segments whose price is known."""


class SmsSegment(Base):
    """One segment of an SMS at the gateway."""

    __tablename__ = "sms_segment"
    __table_args__ = (Index(None, "message_id"),)

    uuid: Mapped[str] = mapped_column(primary_key=True)
    """The gateway's name for it, in lower case."""
    message_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("message.id", ondelete="CASCADE")
    )
    attempt_id: Mapped[UUID | None] = mapped_column(Uuid)
    """Absent: it is known by a report alone, and its attempt is not."""
    number: Mapped[int] = mapped_column(SmallInteger)
    """From 1."""
    status: Mapped[str | None]
    """The gateway's last word."""
    status_at: Mapped[datetime | None]
    """When the status was reached, as the gateway says."""
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    operator: Mapped[str | None]
    price: Mapped[Decimal | None] = mapped_column(PRICE)
    estimate: Mapped[Decimal | None] = mapped_column(PRICE)
    """What it was thought to cost, until its price is known."""


class DeliveryReport(Base):
    """A delivery report as it came, kept before anything is made of it."""

    __tablename__ = "delivery_report"
    __table_args__ = (
        UniqueConstraint("digest"),
        CheckConstraint("source IN ('any', 'one', 'group', 'push')", name="source"),
        Index(None, "uuid"),
        Index(None, "own_key", postgresql_where=text("own_key IS NOT NULL")),
        Index(None, "message_id"),
        Index("ix_delivery_report_unmatched", "at", postgresql_where=text("message_id IS NULL")),
    )

    id: Mapped[Id]
    at: Mapped[CreatedAt]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    source: Mapped[str]
    uuid: Mapped[str | None]
    own_key: Mapped[str | None]
    number: Mapped[str | None]
    segment: Mapped[int] = mapped_column(SmallInteger)
    status: Mapped[str]
    """The gateway's word."""
    status_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    operator: Mapped[str | None]
    price: Mapped[Decimal | None] = mapped_column(PRICE)
    message_id: Mapped[int | None] = mapped_column(
        BigInteger, ForeignKey("message.id", ondelete="CASCADE")
    )
    """The SMS that it is about; absent until that is known."""
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """Of what it says, so that taking it twice is harmless."""


class EurosmsPoll(Base):
    """The queue of delivery reports of one integration ID: one poller at a time asks for them."""

    __tablename__ = "eurosms_poll"
    __table_args__ = (
        UniqueConstraint("base_url", "integration_id"),
        CheckConstraint("(holder IS NULL) = (held_until IS NULL)", name="holder"),
    )

    id: Mapped[Id]
    base_url: Mapped[str]
    integration_id: Mapped[str]
    trxid: Mapped[str | None]
    """Under which reports were asked for that are not stored yet; it brings the same again."""
    holder: Mapped[UUID | None] = mapped_column(Uuid)
    held_until: Mapped[datetime | None]
    next_at: Mapped[datetime | None]
    """When beat enqueues the next poll."""
    polled_at: Mapped[datetime | None]
    """When reports were last taken in, or there were none."""
    failures: Mapped[int] = mapped_column(server_default="0")
    why: Mapped[str | None]
    """Why the last poll failed."""


class EurosmsPrice(Base):
    """What a segment last cost to a country's operator, as the reports of an account showed."""

    __tablename__ = "eurosms_price"

    account_id: Mapped[int] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), primary_key=True
    )
    calling_code: Mapped[str] = mapped_column(primary_key=True)
    operator: Mapped[str] = mapped_column(primary_key=True)
    """MCC.MNC, or nothing where it was not stated."""
    price: Mapped[Decimal] = mapped_column(PRICE)
    seen_at: Mapped[CreatedAt]


class InboundSms(Base):
    """An SMS that came in to a number of the company's."""

    __tablename__ = "inbound_sms"
    __table_args__ = (UniqueConstraint("account_id", "uuid"), Index(None, "sender"))

    id: Mapped[Id]
    at: Mapped[CreatedAt]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    uuid: Mapped[str]
    sender: Mapped[str]
    recipient: Mapped[str]
    received_at: Mapped[datetime | None]
    """As the gateway says."""
    text: Mapped[str]
    stop: Mapped[bool]
    """Whether it asked that no more be sent; then the sender is suppressed."""
