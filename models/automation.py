"""Accounts at the far side, automatic tasks, and the journal of their runs."""

from __future__ import annotations

from datetime import datetime, time

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, CreatedAt, Id, one_of
from models.states import Channel


class Account(Base):
    """An account at an SMTP server or at EuroSMS: its limits, and how it fares.

    What is needed to reach an SMTP server stands here; of EuroSMS, in `models.sms.EurosmsAccount`.
    """

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("company_id", "name"),
        UniqueConstraint("id", "company_id", "channel"),
        CheckConstraint(one_of("channel", Channel), name="channel"),
        CheckConstraint(
            "num_nonnulls(host, port, security) = CASE channel WHEN 'email' THEN 3 ELSE 0 END",
            name="place",
        ),
        CheckConstraint("port BETWEEN 1 AND 65535", name="port"),
        CheckConstraint("security IN ('none', 'starttls', 'tls')", name="security"),
        CheckConstraint("(username IS NULL) = (password IS NULL)", name="log_in"),
        CheckConstraint("most_connections BETWEEN 1 AND 1000", name="most_connections"),
        CheckConstraint("connection_messages > 0", name="connection_messages"),
        CheckConstraint("connect_timeout > 0 AND command_timeout > 0", name="time_outs"),
        CheckConstraint("hourly_limit >= 1 AND domain_hourly_limit >= 1", name="limits"),
    )

    id: Mapped[Id]
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"))
    channel: Mapped[str] = mapped_column(server_default="email")
    name: Mapped[str]
    host: Mapped[str | None]
    port: Mapped[int | None]
    security: Mapped[str | None]
    verify: Mapped[bool] = mapped_column(server_default="true")
    ca_file: Mapped[str | None]
    username: Mapped[str | None]
    password: Mapped[bytes | None]
    """Encrypted at rest (`worker/vault.py`)."""
    helo_name: Mapped[str | None]
    connect_timeout: Mapped[float] = mapped_column(server_default="30")
    command_timeout: Mapped[float] = mapped_column(server_default="60")
    connection_messages: Mapped[int] = mapped_column(server_default="100")
    """The most messages that one connection carries."""
    most_connections: Mapped[int] = mapped_column(server_default="4")
    """The most messages that are handed over at once."""
    hourly_limit: Mapped[int | None]
    """The most recipients, or segments of SMS, in a window."""
    domain_hourly_limit: Mapped[int | None]
    """The same of one domain, or calling code, for each by itself."""
    enabled: Mapped[bool] = mapped_column(server_default="true")
    breaker_failures: Mapped[int] = mapped_column(server_default="0")
    breaker_until: Mapped[datetime | None]
    breaker_why: Mapped[str | None]
    created_at: Mapped[CreatedAt]


class AutomaticTask(Base):
    """What sends which messages, from where, how fast.

    *Automatické odosielanie e-mailov*, or *Posielanie SMS správ cez EuroSMS* by its channel.
    """

    __tablename__ = "automatic_task"
    __table_args__ = (
        UniqueConstraint("company_id", "name"),
        UniqueConstraint("id", "company_id", "channel"),
        UniqueConstraint("id", "company_id"),
        ForeignKeyConstraint(
            ["account_id", "company_id", "channel"],
            ["account.id", "account.company_id", "account.channel"],
        ),
        # A standard user can never run a task: the key carries the kind.
        ForeignKeyConstraint(
            ["user_id", "company_id", "user_kind"], ["user.id", "user.company_id", "user.kind"]
        ),
        CheckConstraint("user_kind = 'system'", name="system_user"),
        CheckConstraint(one_of("channel", Channel), name="channel"),
        CheckConstraint(
            "num_nonnulls(sender_name, sender_address)"
            " = CASE channel WHEN 'email' THEN 2 ELSE 0 END",
            name="sender",
        ),
        CheckConstraint(
            "cadence BETWEEN CASE channel WHEN 'email' THEN 100 ELSE 10 END AND cadence_ceiling",
            name="cadence",
        ),
        CheckConstraint("cadence_ceiling >= 3000", name="cadence_ceiling"),
        CheckConstraint("reserve >= 0 AND reserve < cadence", name="reserve"),
        CheckConstraint("unknown_policy IN ('hold', 'resend')", name="unknown_policy"),
        CheckConstraint("retry_first > 0 AND retry_longest >= retry_first", name="retry"),
        CheckConstraint("most_attempts BETWEEN 1 AND 1000", name="most_attempts"),
        CheckConstraint(
            "num_nonnulls(plan_days, plan_from, plan_until) IN (0, 3)", name="plan_is_whole"
        ),
        CheckConstraint("plan_days <@ ARRAY[1,2,3,4,5,6,7]::smallint[]", name="plan_days"),
        CheckConstraint("cardinality(plan_days) > 0", name="plan_has_days"),
        CheckConstraint(
            "waits_for IN ('work', 'domain', 'slot', 'connection', 'plan')", name="waits_for"
        ),
        CheckConstraint("stand_in_after BETWEEN 10 AND 86400", name="stand_in_after"),
        Index(None, "next_run_at", postgresql_where=text("active")),
    )

    id: Mapped[Id]
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"))
    name: Mapped[str]
    server_id: Mapped[int] = mapped_column(ForeignKey("server.id"))
    user_id: Mapped[int]
    user_kind: Mapped[str] = mapped_column(server_default="system")
    channel: Mapped[str] = mapped_column(server_default="email")
    account_id: Mapped[int]
    sender_name: Mapped[str | None]
    sender_address: Mapped[str | None]
    envelope_sender: Mapped[str | None]
    """Where bounces go; absent: the sender's address."""
    cadence: Mapped[int]
    """The most envelope recipients, or segments of SMS, in any window of 60 minutes."""
    cadence_ceiling: Mapped[int] = mapped_column(server_default="3000")
    """Raised by an administrator, for a relay of their own."""
    reserve: Mapped[int] = mapped_column(server_default="0")
    """How much of the cadence only transactional messages may use."""
    retry_first: Mapped[float] = mapped_column(server_default="60")
    """Seconds to the first retry of a deferred message."""
    retry_longest: Mapped[float] = mapped_column(server_default="7200")
    most_attempts: Mapped[int] = mapped_column(server_default="50")
    unknown_policy: Mapped[str] = mapped_column(server_default="hold")
    plan_days: Mapped[list[int] | None] = mapped_column(ARRAY(SmallInteger()))
    """ISO days of the week, 1 is Monday; absent: always."""
    plan_from: Mapped[time | None]
    """In the company's time zone; a plan that does not end after its start runs past midnight."""
    plan_until: Mapped[time | None]
    active: Mapped[bool] = mapped_column(server_default="false")
    paused_why: Mapped[str | None]
    """Why the product itself paused it; a person who resumes it says that this was mended."""
    next_run_at: Mapped[datetime | None]
    """When beat enqueues the next sweep; absent: when something is enqueued."""
    sweep_no: Mapped[int] = mapped_column(server_default="0")
    waits_for: Mapped[str] = mapped_column(server_default="work")
    stand_in_after: Mapped[float | None]
    """Seconds of silence of its server until a stand-in takes over; absent: as settings say."""
    acting_server_id: Mapped[int | None] = mapped_column(ForeignKey("server.id"))
    """The stand-in that is in charge; absent: its own server is."""
    back_since: Mapped[datetime | None]
    """Since when its own server has been seen alive again while a stand-in is in charge."""
    created_at: Mapped[CreatedAt]


class TaskEstablishment(Base):
    """An establishment to whose messages a task is limited."""

    __tablename__ = "task_establishment"
    __table_args__ = (
        ForeignKeyConstraint(
            ["task_id", "company_id"],
            ["automatic_task.id", "automatic_task.company_id"],
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["establishment_id", "company_id"], ["establishment.id", "establishment.company_id"]
        ),
    )

    task_id: Mapped[int] = mapped_column(primary_key=True)
    establishment_id: Mapped[int] = mapped_column(primary_key=True)
    company_id: Mapped[int]


class TaskRun(Base):
    """The journal: one run of an automatic task, from its first sweep to nothing left to do."""

    __tablename__ = "task_run"
    __table_args__ = (
        Index(
            "uq_task_run_open", "task_id", unique=True, postgresql_where=text("ended_at IS NULL")
        ),
        Index(None, "task_id", "started_at"),
    )

    id: Mapped[Id]
    task_id: Mapped[int] = mapped_column(ForeignKey("automatic_task.id", ondelete="CASCADE"))
    started_at: Mapped[CreatedAt]
    ended_at: Mapped[datetime | None]
    sweeps: Mapped[int] = mapped_column(server_default="0")
    released: Mapped[int] = mapped_column(server_default="0")
    last_sweep_at: Mapped[datetime | None]
    why_not_more: Mapped[str | None]
    """What kept the last sweep from releasing more."""
