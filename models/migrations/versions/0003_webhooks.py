"""Webhooks: where they go, what they tell, what became of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "webhook",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("channels", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("secret_before", sa.LargeBinary(), nullable=True),
        sa.Column("secret_before_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_why", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quiet_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "events <@ ARRAY['sent', 'delivered', 'undelivered', 'failed', 'suppressed', 'expired', 'cancelled', 'unknown', 'held'] AND events <> '{}'",
            name=op.f("ck_webhook_events"),
        ),
        sa.CheckConstraint(
            "channels <@ ARRAY['email', 'sms'] AND channels <> '{}'",
            name=op.f("ck_webhook_channels"),
        ),
        sa.CheckConstraint("active = (disabled_at IS NULL)", name=op.f("ck_webhook_disabled")),
        sa.CheckConstraint(
            "NOT active OR disabled_why IS NULL", name=op.f("ck_webhook_disabled_why")
        ),
        sa.CheckConstraint(
            "(failures > 0) = (failing_since IS NOT NULL)", name=op.f("ck_webhook_failing")
        ),
        sa.CheckConstraint(
            "(secret_before IS NULL) = (secret_before_until IS NULL)",
            name=op.f("ck_webhook_secret_before"),
        ),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_webhook_company_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
    )
    op.create_index(op.f("ix_webhook_company_id"), "webhook", ["company_id"])
    op.create_table(
        "webhook_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_webhook_event_company_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_event")),
    )
    op.create_index(op.f("ix_webhook_event_company_id_at"), "webhook_event", ["company_id", "at"])
    op.create_index(op.f("ix_webhook_event_at"), "webhook_event", ["at"])
    op.create_table(
        "webhook_delivery",
        sa.Column("webhook_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), server_default=NOW, nullable=True),
        sa.Column("lease", sa.Uuid(), nullable=True),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_status", sa.SmallInteger(), nullable=True),
        sa.Column("last_why", sa.Text(), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "delivered_at IS NULL OR next_at IS NULL", name=op.f("ck_webhook_delivery_delivered")
        ),
        sa.CheckConstraint(
            "lease IS NULL OR next_at IS NOT NULL", name=op.f("ck_webhook_delivery_lease")
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhook.id"],
            name=op.f("fk_webhook_delivery_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["webhook_event.id"],
            name=op.f("fk_webhook_delivery_event_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("webhook_id", "event_id", name=op.f("pk_webhook_delivery")),
    )
    op.create_index(op.f("ix_webhook_delivery_event_id"), "webhook_delivery", ["event_id"])
    op.create_index(
        "ix_webhook_delivery_due",
        "webhook_delivery",
        ["webhook_id", "next_at"],
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_index(
        "ix_webhook_delivery_leased",
        "webhook_delivery",
        ["webhook_id", "next_at"],
        postgresql_where=sa.text("lease IS NOT NULL"),
    )
    op.execute("""
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
""")
    op.execute("""
CREATE TRIGGER tell_webhooks AFTER UPDATE OF state ON message FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state AND NEW.state IN ('sent', 'delivered', 'undelivered', 'failed', 'suppressed', 'expired', 'cancelled', 'unknown', 'held'))
    EXECUTE FUNCTION tell_webhooks();
""")


def downgrade() -> None:
    """Go back."""
    op.execute("DROP TRIGGER tell_webhooks ON message")
    op.execute("DROP FUNCTION tell_webhooks()")
    op.drop_table("webhook_delivery")
    op.drop_table("webhook_event")
    op.drop_table("webhook")
