"""Webhooks: whom a company tells of its messages' states, what is told, and what became of it."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Connection,
    ForeignKey,
    Index,
    SmallInteger,
    Uuid,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from models.base import Base, CreatedAt, Id
from models.outbox import Message
from models.states import Channel, MessageState

TOLD = (
    MessageState.SENT,
    MessageState.DELIVERED,
    MessageState.UNDELIVERED,
    MessageState.FAILED,
    MessageState.SUPPRESSED,
    MessageState.EXPIRED,
    MessageState.CANCELLED,
    MessageState.UNKNOWN,
    MessageState.HELD,
)
"""The states that are told; the others are passed through."""

_TOLD = ", ".join(f"'{state}'" for state in TOLD)
_CHANNELS = ", ".join(f"'{channel}'" for channel in Channel)


class Webhook(Base):
    """An address that is told when messages of its company change state."""

    __tablename__ = "webhook"
    __table_args__ = (
        CheckConstraint(f"events <@ ARRAY[{_TOLD}] AND events <> '{{}}'", name="events"),
        CheckConstraint(f"channels <@ ARRAY[{_CHANNELS}] AND channels <> '{{}}'", name="channels"),
        CheckConstraint("active = (disabled_at IS NULL)", name="disabled"),
        CheckConstraint("NOT active OR disabled_why IS NULL", name="disabled_why"),
        CheckConstraint("(failures > 0) = (failing_since IS NOT NULL)", name="failing"),
        CheckConstraint(
            "(secret_before IS NULL) = (secret_before_until IS NULL)", name="secret_before"
        ),
        Index(None, "company_id"),
    )

    id: Mapped[Id]
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"))
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    """Of `TOLD`, those that it wants to hear of."""
    channels: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    secret: Mapped[bytes]
    """Signs what is told; sealed by the vault."""
    secret_before: Mapped[bytes | None]
    """The one before, which signs as well until the receiver has the new one."""
    secret_before_until: Mapped[datetime | None]
    active: Mapped[bool] = mapped_column(server_default="true")
    disabled_at: Mapped[datetime | None]
    disabled_why: Mapped[str | None]
    """Why the product has disabled it; absent if a person has."""
    failures: Mapped[int] = mapped_column(server_default="0")
    """In a row, of any of its deliveries."""
    failing_since: Mapped[datetime | None]
    quiet_until: Mapped[datetime | None]
    """It is left alone until then."""
    created_at: Mapped[CreatedAt]


class WebhookEvent(Base):
    """A message has changed its state. Holds neither whom it was for nor what it said."""

    __tablename__ = "webhook_event"
    __table_args__ = (Index(None, "company_id", "at"), Index(None, "at"))

    id: Mapped[Id]
    company_id: Mapped[int] = mapped_column(ForeignKey("company.id"))
    message_id: Mapped[int] = mapped_column(BigInteger)
    """No foreign key: what was told may be kept longer than the message."""
    channel: Mapped[str]
    state: Mapped[str]
    reference: Mapped[str | None]
    """The enqueuer's own."""
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class WebhookDelivery(Base):
    """An event on its way to a webhook."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        CheckConstraint("delivered_at IS NULL OR next_at IS NULL", name="delivered"),
        CheckConstraint("lease IS NULL OR next_at IS NOT NULL", name="lease"),
        Index(None, "event_id"),
        Index(
            "ix_webhook_delivery_due",
            "webhook_id",
            "next_at",
            postgresql_where=text("next_at IS NOT NULL"),
        ),
        Index(
            "ix_webhook_delivery_leased",
            "webhook_id",
            "next_at",
            postgresql_where=text("lease IS NOT NULL"),
        ),
    )

    webhook_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("webhook.id", ondelete="CASCADE"), primary_key=True
    )
    event_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("webhook_event.id", ondelete="CASCADE"), primary_key=True
    )
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    next_at: Mapped[datetime | None] = mapped_column(server_default=func.clock_timestamp())
    """When it is told, or told again; of a leased one, when the lease ends. Absent: never."""
    lease: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    """The fence: a courier notes what became of it only while this is its token."""
    last_at: Mapped[datetime | None]
    last_status: Mapped[int | None] = mapped_column(SmallInteger)
    """HTTP's; absent if there was no answer."""
    last_why: Mapped[str | None]
    """Why it was not taken; absent if it was."""
    delivered_at: Mapped[datetime | None]


# Whatever changes a state, in whatever program, tells of it in the same transaction. A webhook
# that is just being removed is locked out: else its foreign key would undo the change of state.
TELL_WEBHOOKS = """
CREATE OR REPLACE FUNCTION tell_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    IF NOT EXISTS (
        SELECT FROM webhook w WHERE w.company_id = NEW.company_id
          AND NEW.state = ANY (w.events) AND NEW.channel = ANY (w.channels))
    THEN
        RETURN NULL;
    END IF;
    INSERT INTO webhook_event (company_id, message_id, channel, state, reference)
        VALUES (NEW.company_id, NEW.id, NEW.channel, NEW.state, NEW.reference)
        RETURNING id INTO made;
    INSERT INTO webhook_delivery (webhook_id, event_id)
        SELECT w.id, made FROM webhook w WHERE w.active AND w.company_id = NEW.company_id
          AND NEW.state = ANY (w.events) AND NEW.channel = ANY (w.channels)
        FOR KEY SHARE;
    RETURN NULL;
END $$;
"""
TELL_WEBHOOKS_TRIGGER = f"""
CREATE TRIGGER tell_webhooks AFTER UPDATE OF state ON message FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state AND NEW.state IN ({_TOLD}))
    EXECUTE FUNCTION tell_webhooks();
"""


def _install(_target: object, connection: Connection, **_: object) -> None:
    for statement in (TELL_WEBHOOKS, TELL_WEBHOOKS_TRIGGER):
        connection.exec_driver_sql(statement)


event.listen(Message.__table__, "after_create", _install)
