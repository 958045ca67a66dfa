"""The outbox and what belongs to it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "alarm",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column(
            "raised_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
    )
    op.create_index(
        "uq_alarm_open",
        "alarm",
        ["kind", "subject"],
        unique=True,
        postgresql_where=sa.text("cleared_at IS NULL"),
    )
    op.create_table(
        "attachment",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachment")),
        sa.UniqueConstraint("digest", name=op.f("uq_attachment_digest")),
    )
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index(op.f("ix_audit_log_subject_at"), "audit_log", ["subject", "at"], unique=False)
    op.create_table(
        "body",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("html", sa.Text(), nullable=True),
        sa.Column("template", sa.Boolean(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("num_nonnulls(text, html) >= 1", name=op.f("ck_body_not_empty")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_body")),
        sa.UniqueConstraint("digest", name=op.f("uq_body_digest")),
    )
    op.create_table(
        "company",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), server_default="Europe/Bratislava", nullable=False),
        sa.Column("country", sa.Text(), server_default="SK", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("country ~ '^[A-Z]{2}$'", name=op.f("ck_company_country")),
        sa.CheckConstraint("domain ~ '^[a-z0-9.-]+$'", name=op.f("ck_company_domain")),
        sa.CheckConstraint("name <> ''", name=op.f("ck_company_name")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_company")),
        sa.UniqueConstraint("name", name=op.f("uq_company_name")),
    )
    op.create_table(
        "eurosms_poll",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("trxid", sa.Text(), nullable=True),
        sa.Column("holder", sa.Uuid(), nullable=True),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(holder IS NULL) = (held_until IS NULL)", name=op.f("ck_eurosms_poll_holder")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_eurosms_poll")),
        sa.UniqueConstraint(
            "base_url", "integration_id", name=op.f("uq_eurosms_poll_base_url_integration_id")
        ),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), server_default="1", autoincrement=False, nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_why", sa.Text(), nullable=True),
        sa.Column("restored", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("redirect_to", sa.Text(), nullable=True),
        sa.Column("allowed", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.CheckConstraint(
            "NOT restored OR stopped_at IS NOT NULL",
            name=op.f("ck_installation_restored_is_stopped"),
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "server",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("name ~ '^[a-z][a-z0-9-]{0,30}$'", name=op.f("ck_server_name")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_server")),
        sa.UniqueConstraint("name", name=op.f("uq_server_name")),
    )
    op.create_table(
        "account",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), server_default="email", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("port", sa.Integer(), nullable=True),
        sa.Column("security", sa.Text(), nullable=True),
        sa.Column("verify", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("ca_file", sa.Text(), nullable=True),
        sa.Column("username", sa.Text(), nullable=True),
        sa.Column("password", sa.LargeBinary(), nullable=True),
        sa.Column("helo_name", sa.Text(), nullable=True),
        sa.Column("connect_timeout", sa.Double(), server_default="30", nullable=False),
        sa.Column("command_timeout", sa.Double(), server_default="60", nullable=False),
        sa.Column("connection_messages", sa.Integer(), server_default="100", nullable=False),
        sa.Column("most_connections", sa.Integer(), server_default="4", nullable=False),
        sa.Column("hourly_limit", sa.Integer(), nullable=True),
        sa.Column("domain_hourly_limit", sa.Integer(), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("breaker_failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("breaker_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("breaker_why", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("channel IN ('email', 'sms')", name=op.f("ck_account_channel")),
        sa.CheckConstraint(
            "num_nonnulls(host, port, security) = CASE channel WHEN 'email' THEN 3 ELSE 0 END",
            name=op.f("ck_account_place"),
        ),
        sa.CheckConstraint(
            "security IN ('none', 'starttls', 'tls')", name=op.f("ck_account_security")
        ),
        sa.CheckConstraint(
            "(username IS NULL) = (password IS NULL)", name=op.f("ck_account_log_in")
        ),
        sa.CheckConstraint(
            "connect_timeout > 0 AND command_timeout > 0", name=op.f("ck_account_time_outs")
        ),
        sa.CheckConstraint("connection_messages > 0", name=op.f("ck_account_connection_messages")),
        sa.CheckConstraint(
            "hourly_limit >= 1 AND domain_hourly_limit >= 1", name=op.f("ck_account_limits")
        ),
        sa.CheckConstraint(
            "most_connections BETWEEN 1 AND 1000", name=op.f("ck_account_most_connections")
        ),
        sa.CheckConstraint("port BETWEEN 1 AND 65535", name=op.f("ck_account_port")),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_account_company_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("company_id", "name", name=op.f("uq_account_company_id_name")),
        sa.UniqueConstraint(
            "id", "company_id", "channel", name=op.f("uq_account_id_company_id_channel")
        ),
    )
    op.create_table(
        "body_attachment",
        sa.Column("body_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("attachment_id", sa.BigInteger(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("content_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["attachment_id"], ["attachment.id"], name=op.f("fk_body_attachment_attachment_id")
        ),
        sa.ForeignKeyConstraint(
            ["body_id"], ["body.id"], name=op.f("fk_body_attachment_body_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("body_id", "position", name=op.f("pk_body_attachment")),
    )
    op.create_index(
        op.f("ix_body_attachment_attachment_id"), "body_attachment", ["attachment_id"], unique=False
    )
    op.create_table(
        "establishment",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.CheckConstraint("name <> ''", name=op.f("ck_establishment_name")),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_establishment_company_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_establishment")),
        sa.UniqueConstraint("company_id", "name", name=op.f("uq_establishment_company_id_name")),
        sa.UniqueConstraint("id", "company_id", name=op.f("uq_establishment_id_company_id")),
    )
    op.create_table(
        "process",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("sms_slots", sa.Integer(), server_default="0", nullable=False),
        sa.Column("clock_offset_ms", sa.Double(), server_default="0", nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "beat_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("control_answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("send_answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("eurosms_answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "slots >= 0 AND sms_slots >= 0 AND slots + sms_slots > 0", name=op.f("ck_process_slots")
        ),
        sa.ForeignKeyConstraint(["server_id"], ["server.id"], name=op.f("fk_process_server_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_process")),
    )
    op.create_index(op.f("ix_process_server_id"), "process", ["server_id"], unique=False)
    op.create_table(
        "suppression",
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("address = lower(address)", name=op.f("ck_suppression_lower_case")),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_suppression_company_id")
        ),
        sa.PrimaryKeyConstraint("company_id", "address", name=op.f("pk_suppression")),
    )
    op.create_table(
        "user",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("administrator", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "NOT (administrator AND kind = 'system')", name=op.f("ck_user_administrator")
        ),
        sa.CheckConstraint("kind IN ('standard', 'system')", name=op.f("ck_user_kind")),
        sa.CheckConstraint("name <> ''", name=op.f("ck_user_name")),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_user_company_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user")),
        sa.UniqueConstraint("company_id", "name", name=op.f("uq_user_company_id_name")),
        sa.UniqueConstraint("id", "company_id", "kind", name=op.f("uq_user_id_company_id_kind")),
    )
    op.create_table(
        "automatic_task",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("user_kind", sa.Text(), server_default="system", nullable=False),
        sa.Column("channel", sa.Text(), server_default="email", nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("sender_name", sa.Text(), nullable=True),
        sa.Column("sender_address", sa.Text(), nullable=True),
        sa.Column("envelope_sender", sa.Text(), nullable=True),
        sa.Column("cadence", sa.Integer(), nullable=False),
        sa.Column("cadence_ceiling", sa.Integer(), server_default="3000", nullable=False),
        sa.Column("reserve", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retry_first", sa.Double(), server_default="60", nullable=False),
        sa.Column("retry_longest", sa.Double(), server_default="7200", nullable=False),
        sa.Column("most_attempts", sa.Integer(), server_default="50", nullable=False),
        sa.Column("unknown_policy", sa.Text(), server_default="hold", nullable=False),
        sa.Column("plan_days", postgresql.ARRAY(sa.SmallInteger()), nullable=True),
        sa.Column("plan_from", sa.Time(), nullable=True),
        sa.Column("plan_until", sa.Time(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("paused_why", sa.Text(), nullable=True),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sweep_no", sa.Integer(), server_default="0", nullable=False),
        sa.Column("waits_for", sa.Text(), server_default="work", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "cadence BETWEEN CASE channel WHEN 'email' THEN 100 ELSE 10 END AND cadence_ceiling",
            name=op.f("ck_automatic_task_cadence"),
        ),
        sa.CheckConstraint("channel IN ('email', 'sms')", name=op.f("ck_automatic_task_channel")),
        sa.CheckConstraint(
            "num_nonnulls(sender_name, sender_address) = CASE channel WHEN 'email' THEN 2 ELSE 0 END",
            name=op.f("ck_automatic_task_sender"),
        ),
        sa.CheckConstraint(
            "unknown_policy IN ('hold', 'resend')", name=op.f("ck_automatic_task_unknown_policy")
        ),
        sa.CheckConstraint("user_kind = 'system'", name=op.f("ck_automatic_task_system_user")),
        sa.CheckConstraint(
            "waits_for IN ('work', 'domain', 'slot', 'connection', 'plan')",
            name=op.f("ck_automatic_task_waits_for"),
        ),
        sa.CheckConstraint(
            "cadence_ceiling >= 3000", name=op.f("ck_automatic_task_cadence_ceiling")
        ),
        sa.CheckConstraint(
            "cardinality(plan_days) > 0", name=op.f("ck_automatic_task_plan_has_days")
        ),
        sa.CheckConstraint(
            "most_attempts BETWEEN 1 AND 1000", name=op.f("ck_automatic_task_most_attempts")
        ),
        sa.CheckConstraint(
            "num_nonnulls(plan_days, plan_from, plan_until) IN (0, 3)",
            name=op.f("ck_automatic_task_plan_is_whole"),
        ),
        sa.CheckConstraint(
            "plan_days <@ ARRAY[1,2,3,4,5,6,7]::smallint[]",
            name=op.f("ck_automatic_task_plan_days"),
        ),
        sa.CheckConstraint(
            "reserve >= 0 AND reserve < cadence", name=op.f("ck_automatic_task_reserve")
        ),
        sa.CheckConstraint(
            "retry_first > 0 AND retry_longest >= retry_first", name=op.f("ck_automatic_task_retry")
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "company_id", "channel"],
            ["account.id", "account.company_id", "account.channel"],
            name=op.f("fk_automatic_task_account_id_company_id_channel"),
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_automatic_task_company_id")
        ),
        sa.ForeignKeyConstraint(
            ["server_id"], ["server.id"], name=op.f("fk_automatic_task_server_id")
        ),
        sa.ForeignKeyConstraint(
            ["user_id", "company_id", "user_kind"],
            ["user.id", "user.company_id", "user.kind"],
            name=op.f("fk_automatic_task_user_id_company_id_user_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_automatic_task")),
        sa.UniqueConstraint("company_id", "name", name=op.f("uq_automatic_task_company_id_name")),
        sa.UniqueConstraint(
            "id", "company_id", "channel", name=op.f("uq_automatic_task_id_company_id_channel")
        ),
        sa.UniqueConstraint("id", "company_id", name=op.f("uq_automatic_task_id_company_id")),
    )
    op.create_index(
        op.f("ix_automatic_task_next_run_at"),
        "automatic_task",
        ["next_run_at"],
        unique=False,
        postgresql_where=sa.text("active"),
    )
    op.create_table(
        "eurosms_account",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.Text(), server_default="sha1", nullable=False),
        sa.Column("time_zone", sa.Text(), server_default="Europe/Bratislava", nullable=False),
        sa.Column("verify", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("ca_file", sa.Text(), nullable=True),
        sa.Column("connect_timeout", sa.Double(), server_default="10", nullable=False),
        sa.Column("answer_timeout", sa.Double(), server_default="30", nullable=False),
        sa.Column("poll_seconds", sa.Double(), server_default="20", nullable=False),
        sa.Column("price", sa.Numeric(precision=12, scale=4), nullable=True),
        sa.Column("balance", sa.Numeric(precision=12, scale=4), nullable=True),
        sa.Column("balance_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("push_secret", sa.LargeBinary(), nullable=True),
        sa.Column("push_from", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint("digest IN ('sha1', 'sha256')", name=op.f("ck_eurosms_account_digest")),
        sa.CheckConstraint(
            "connect_timeout > 0 AND answer_timeout > 0", name=op.f("ck_eurosms_account_time_outs")
        ),
        sa.CheckConstraint("poll_seconds >= 1", name=op.f("ck_eurosms_account_poll_seconds")),
        sa.CheckConstraint("price >= 0", name=op.f("ck_eurosms_account_price")),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_eurosms_account_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_eurosms_account")),
    )
    op.create_index(
        op.f("ix_eurosms_account_push_secret"), "eurosms_account", ["push_secret"], unique=True
    )
    op.create_table(
        "eurosms_price",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("calling_code", sa.Text(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("price", sa.Numeric(precision=12, scale=4), nullable=False),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_eurosms_price_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "account_id", "calling_code", "operator", name=op.f("pk_eurosms_price")
        ),
    )
    op.create_table(
        "inbound_sms",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("stop", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_inbound_sms_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_sms")),
        sa.UniqueConstraint("account_id", "uuid", name=op.f("uq_inbound_sms_account_id_uuid")),
    )
    op.create_index(op.f("ix_inbound_sms_sender"), "inbound_sms", ["sender"], unique=False)
    op.create_table(
        "lane",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), server_default="email", nullable=False),
        sa.Column("establishment_id", sa.Integer(), nullable=True),
        sa.Column("task_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("channel IN ('email', 'sms')", name=op.f("ck_lane_channel")),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_lane_company_id")),
        sa.ForeignKeyConstraint(
            ["establishment_id", "company_id"],
            ["establishment.id", "establishment.company_id"],
            name=op.f("fk_lane_establishment_id_company_id"),
        ),
        sa.ForeignKeyConstraint(
            ["task_id", "company_id", "channel"],
            ["automatic_task.id", "automatic_task.company_id", "automatic_task.channel"],
            name=op.f("fk_lane_task_id_company_id_channel"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lane")),
        sa.UniqueConstraint(
            "company_id",
            "channel",
            "establishment_id",
            "task_id",
            name=op.f("uq_lane_company_id_channel_establishment_id_task_id"),
            postgresql_nulls_not_distinct=True,
        ),
        sa.UniqueConstraint(
            "id", "company_id", "channel", name=op.f("uq_lane_id_company_id_channel")
        ),
    )
    op.create_table(
        "sms_spend",
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("spent", sa.Numeric(precision=12, scale=4), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["automatic_task.id"],
            name=op.f("fk_sms_spend_task_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("task_id", "day", name=op.f("pk_sms_spend")),
    )
    op.create_table(
        "sms_task",
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("diacritics", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("long_texts", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("high_priority", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("validity_seconds", sa.Integer(), server_default="172800", nullable=False),
        sa.Column("unknown_hours", sa.Integer(), server_default="24", nullable=False),
        sa.Column("budget_day", sa.Numeric(precision=12, scale=4), nullable=True),
        sa.Column("budget_month", sa.Numeric(precision=12, scale=4), nullable=True),
        sa.Column("exhausted_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "budget_day >= 0 AND budget_month >= 0", name=op.f("ck_sms_task_budgets")
        ),
        sa.CheckConstraint(
            "validity_seconds BETWEEN 60 AND 604800", name=op.f("ck_sms_task_validity")
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["automatic_task.id"], name=op.f("fk_sms_task_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_sms_task")),
    )
    op.create_table(
        "task_establishment",
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("establishment_id", sa.Integer(), nullable=False),
        sa.Column("company_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["establishment_id", "company_id"],
            ["establishment.id", "establishment.company_id"],
            name=op.f("fk_task_establishment_establishment_id_company_id"),
        ),
        sa.ForeignKeyConstraint(
            ["task_id", "company_id"],
            ["automatic_task.id", "automatic_task.company_id"],
            name=op.f("fk_task_establishment_task_id_company_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("task_id", "establishment_id", name=op.f("pk_task_establishment")),
    )
    op.create_table(
        "task_run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sweeps", sa.Integer(), server_default="0", nullable=False),
        sa.Column("released", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_sweep_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("why_not_more", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["task_id"], ["automatic_task.id"], name=op.f("fk_task_run_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_run")),
    )
    op.create_index(
        op.f("ix_task_run_task_id_started_at"), "task_run", ["task_id", "started_at"], unique=False
    )
    op.create_index(
        "uq_task_run_open",
        "task_run",
        ["task_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "message",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("lane_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), server_default="email", nullable=False),
        sa.Column("state", sa.Text(), server_default="ready", nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease", sa.Uuid(), nullable=True),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("task_id", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("unknowns", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("domains", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("cost", sa.SmallInteger(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("body_id", sa.BigInteger(), nullable=True),
        sa.Column("fields", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("reply_to", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("list_unsubscribe", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(channel = 'email') = (subject IS NOT NULL)", name=op.f("ck_message_subject")
        ),
        sa.CheckConstraint(
            "(state IN ('ready', 'released', 'sending', 'held', 'unknown')) = (settled_at IS NULL)",
            name=op.f("ck_message_settled"),
        ),
        sa.CheckConstraint(
            "(state IN ('released', 'sending')) = (lease IS NOT NULL AND deadline IS NOT NULL)",
            name=op.f("ck_message_lease"),
        ),
        sa.CheckConstraint(
            "state IN ('ready', 'released', 'sending', 'sent', 'delivered', 'failed', 'undelivered', 'suppressed', 'expired', 'cancelled', 'held', 'unknown')",
            name=op.f("ck_message_state"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('released', 'sending') OR task_id IS NOT NULL",
            name=op.f("ck_message_task"),
        ),
        sa.CheckConstraint("cost > 0", name=op.f("ck_message_cost")),
        sa.CheckConstraint("priority BETWEEN 0 AND 2", name=op.f("ck_message_priority")),
        sa.ForeignKeyConstraint(["body_id"], ["body.id"], name=op.f("fk_message_body_id")),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_message_company_id")),
        sa.ForeignKeyConstraint(
            ["lane_id", "company_id", "channel"],
            ["lane.id", "lane.company_id", "lane.channel"],
            name=op.f("fk_message_lane_id_company_id_channel"),
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["automatic_task.id"], name=op.f("fk_message_task_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        postgresql_with={
            "fillfactor": "85",
            "autovacuum_vacuum_scale_factor": "0.02",
            "autovacuum_vacuum_threshold": "5000",
        },
    )
    op.create_index(op.f("ix_message_body_id"), "message", ["body_id"], unique=False)
    op.create_index(op.f("ix_message_company_id_id"), "message", ["company_id", "id"], unique=False)
    op.create_index(
        "ix_message_expires",
        "message",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('ready', 'held')"),
    )
    op.create_index(
        "ix_message_leased",
        "message",
        ["task_id", "deadline"],
        unique=False,
        postgresql_where=sa.text("state IN ('released', 'sending')"),
    )
    op.create_index(
        "ix_message_message_id", "message", ["message_id"], unique=False, postgresql_using="hash"
    )
    op.create_index(
        "ix_message_parked",
        "message",
        ["state", "id"],
        unique=False,
        postgresql_where=sa.text("state IN ('held', 'unknown')"),
    )
    op.create_index(
        "ix_message_ready",
        "message",
        ["lane_id", "priority", "not_before"],
        unique=False,
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "ix_message_ready_domain",
        "message",
        ["lane_id", "priority", "domain", "not_before"],
        unique=False,
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "ix_message_settled",
        "message",
        ["settled_at"],
        unique=False,
        postgresql_where=sa.text("settled_at IS NOT NULL"),
    )
    op.create_index(
        "uq_message_idempotency_key",
        "message",
        ["company_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column(
            "opened_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cost", sa.SmallInteger(), nullable=False),
        sa.Column("domains", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("phase", sa.Text(), nullable=True),
        sa.Column("code", sa.SmallInteger(), nullable=True),
        sa.Column("enhanced", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("price", sa.Numeric(precision=12, scale=4), nullable=True),
        sa.Column("replies", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.CheckConstraint(
            "(state = 'open') = (closed_at IS NULL)", name=op.f("ck_attempt_closed")
        ),
        sa.CheckConstraint(
            "state IN ('open', 'void', 'accepted', 'deferred', 'rejected', 'unknown')",
            name=op.f("ck_attempt_state"),
        ),
        sa.CheckConstraint("cost > 0", name=op.f("ck_attempt_cost")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_attempt_account_id")),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name=op.f("fk_attempt_message_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["automatic_task.id"], name=op.f("fk_attempt_task_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    op.create_index(
        op.f("ix_attempt_account_id_opened_at"),
        "attempt",
        ["account_id", "opened_at"],
        unique=False,
    )
    op.create_index(op.f("ix_attempt_message_id"), "attempt", ["message_id"], unique=False)
    op.create_index(
        "ix_attempt_open",
        "attempt",
        ["opened_at"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(op.f("ix_attempt_opened_at"), "attempt", ["opened_at"], unique=False)
    op.create_index(
        op.f("ix_attempt_task_id_opened_at"), "attempt", ["task_id", "opened_at"], unique=False
    )
    op.create_table(
        "delivery_report",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=True),
        sa.Column("own_key", sa.Text(), nullable=True),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("segment", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("price", sa.Numeric(precision=12, scale=4), nullable=True),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "source IN ('any', 'one', 'group', 'push')", name=op.f("ck_delivery_report_source")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_delivery_report_account_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["message.id"],
            name=op.f("fk_delivery_report_message_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_report")),
        sa.UniqueConstraint("digest", name=op.f("uq_delivery_report_digest")),
    )
    op.create_index(
        op.f("ix_delivery_report_message_id"), "delivery_report", ["message_id"], unique=False
    )
    op.create_index(
        op.f("ix_delivery_report_own_key"),
        "delivery_report",
        ["own_key"],
        unique=False,
        postgresql_where=sa.text("own_key IS NOT NULL"),
    )
    op.create_index(
        "ix_delivery_report_unmatched",
        "delivery_report",
        ["at"],
        unique=False,
        postgresql_where=sa.text("message_id IS NULL"),
    )
    op.create_index(op.f("ix_delivery_report_uuid"), "delivery_report", ["uuid"], unique=False)
    op.create_table(
        "receipt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=True),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("diagnostic", sa.Text(), nullable=True),
        sa.Column("remote_mta", sa.Text(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "action IN ('failed', 'delayed', 'delivered', 'relayed', 'expanded')",
            name=op.f("ck_receipt_action"),
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name=op.f("fk_receipt_message_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt")),
        sa.UniqueConstraint("message_id", "digest", name=op.f("uq_receipt_message_id_digest")),
    )
    op.create_table(
        "recipient",
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="to", nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("cost", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('to', 'cc', 'bcc')", name=op.f("ck_recipient_kind")),
        sa.CheckConstraint(
            "state IN ('pending', 'sent', 'failed', 'unknown', 'suppressed', 'delivered', 'undelivered')",
            name=op.f("ck_recipient_state"),
        ),
        sa.CheckConstraint("cost > 0", name=op.f("ck_recipient_cost")),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name=op.f("fk_recipient_message_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", "position", name=op.f("pk_recipient")),
    )
    op.create_index(op.f("ix_recipient_address"), "recipient", ["address"], unique=False)
    op.create_table(
        "sms",
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("encoding", sa.Text(), nullable=False),
        sa.Column("segments", sa.SmallInteger(), nullable=False),
        sa.Column("awaited", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unconfirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("price", sa.Numeric(precision=12, scale=4), nullable=True),
        sa.CheckConstraint("encoding IN ('gsm', 'ucs2')", name=op.f("ck_sms_encoding")),
        sa.CheckConstraint("segments BETWEEN 1 AND 10", name=op.f("ck_sms_segments")),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name=op.f("fk_sms_message_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_sms")),
    )
    op.create_index(
        "ix_sms_awaited", "sms", ["sent_at"], unique=False, postgresql_where=sa.text("awaited")
    )
    op.create_table(
        "sms_segment",
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=True),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("price", sa.Numeric(precision=12, scale=4), nullable=True),
        sa.Column("estimate", sa.Numeric(precision=12, scale=4), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["message.id"],
            name=op.f("fk_sms_segment_message_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_sms_segment")),
    )
    op.create_index(op.f("ix_sms_segment_message_id"), "sms_segment", ["message_id"], unique=False)
    op.execute("""
CREATE OR REPLACE FUNCTION check_message_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (OLD.state || '>' || NEW.state = ANY (string_to_array('ready>cancelled,ready>delivered,ready>expired,ready>held,ready>released,ready>sent,ready>undelivered,ready>unknown,released>cancelled,released>delivered,released>expired,released>held,released>ready,released>sending,released>sent,released>suppressed,released>undelivered,released>unknown,sending>delivered,sending>expired,sending>failed,sending>ready,sending>sent,sending>undelivered,sending>unknown,unknown>cancelled,unknown>delivered,unknown>expired,unknown>failed,unknown>ready,unknown>sent,unknown>undelivered,sent>delivered,sent>ready,sent>undelivered,delivered>ready,delivered>undelivered,undelivered>delivered,undelivered>ready,failed>delivered,failed>ready,suppressed>ready,expired>ready,cancelled>ready,held>cancelled,held>delivered,held>expired,held>ready,held>sent,held>undelivered', ','))) THEN
        RAISE EXCEPTION 'message %: no move from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
""")
    op.execute("""
CREATE TRIGGER check_move BEFORE UPDATE OF state ON message FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION check_message_move();
""")
    op.execute("""
CREATE OR REPLACE FUNCTION wake_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.next_run_at := clock_timestamp();
    NEW.sweep_no := OLD.sweep_no + 1;
    PERFORM pg_notify('kadencia_task', NEW.id::text);
    RETURN NEW;
END $$;
""")
    op.execute("""
CREATE TRIGGER wake BEFORE UPDATE OF active, cadence, reserve, server_id, account_id,
    plan_days, plan_from, plan_until ON automatic_task FOR EACH ROW
    WHEN (NEW.active) EXECUTE FUNCTION wake_task();
""")
    op.execute("""
CREATE OR REPLACE FUNCTION log_task_limit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (who, action, subject, before, after) VALUES (
        coalesce(nullif(current_setting('kadencia.who', true), ''), 'database:' || current_user),
        'limit', 'task:' || NEW.id,
        CASE WHEN TG_OP = 'UPDATE' THEN jsonb_build_object(
            'cadence', OLD.cadence, 'reserve', OLD.reserve, 'ceiling', OLD.cadence_ceiling) END,
        jsonb_build_object(
            'cadence', NEW.cadence, 'reserve', NEW.reserve, 'ceiling', NEW.cadence_ceiling));
    RETURN NEW;
END $$;
""")
    op.execute("""
CREATE TRIGGER log_limit AFTER INSERT OR UPDATE OF cadence, reserve, cadence_ceiling
    ON automatic_task FOR EACH ROW EXECUTE FUNCTION log_task_limit();
""")
    op.execute("""
CREATE OR REPLACE FUNCTION log_account_limit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_log (who, action, subject, before, after) VALUES (
        coalesce(nullif(current_setting('kadencia.who', true), ''), 'database:' || current_user),
        'limit', CASE NEW.channel WHEN 'sms' THEN 'eurosms:' ELSE 'smtp:' END || NEW.id,
        CASE WHEN TG_OP = 'UPDATE' THEN jsonb_build_object(
            'hourly', OLD.hourly_limit, 'domain', OLD.domain_hourly_limit) END,
        jsonb_build_object('hourly', NEW.hourly_limit, 'domain', NEW.domain_hourly_limit));
    RETURN NEW;
END $$;
""")
    op.execute("""
CREATE TRIGGER log_limit AFTER INSERT OR UPDATE OF hourly_limit, domain_hourly_limit
    ON account FOR EACH ROW EXECUTE FUNCTION log_account_limit();
""")
    op.execute("""
CREATE SEQUENCE throttle_generation AS integer;
""")
    op.execute("""INSERT INTO installation (id) VALUES (1);""")


def downgrade() -> None:
    """Go back."""
    op.execute("DROP SEQUENCE throttle_generation")
    op.drop_index(op.f("ix_sms_segment_message_id"), table_name="sms_segment")
    op.drop_table("sms_segment")
    op.drop_index("ix_sms_awaited", table_name="sms", postgresql_where=sa.text("awaited"))
    op.drop_table("sms")
    op.drop_index(op.f("ix_recipient_address"), table_name="recipient")
    op.drop_table("recipient")
    op.drop_table("receipt")
    op.drop_index(op.f("ix_delivery_report_uuid"), table_name="delivery_report")
    op.drop_index(
        "ix_delivery_report_unmatched",
        table_name="delivery_report",
        postgresql_where=sa.text("message_id IS NULL"),
    )
    op.drop_index(
        op.f("ix_delivery_report_own_key"),
        table_name="delivery_report",
        postgresql_where=sa.text("own_key IS NOT NULL"),
    )
    op.drop_index(op.f("ix_delivery_report_message_id"), table_name="delivery_report")
    op.drop_table("delivery_report")
    op.drop_index(op.f("ix_attempt_task_id_opened_at"), table_name="attempt")
    op.drop_index(op.f("ix_attempt_opened_at"), table_name="attempt")
    op.drop_index(
        "ix_attempt_open", table_name="attempt", postgresql_where=sa.text("state = 'open'")
    )
    op.drop_index(op.f("ix_attempt_message_id"), table_name="attempt")
    op.drop_index(op.f("ix_attempt_account_id_opened_at"), table_name="attempt")
    op.drop_table("attempt")
    op.drop_index(
        "uq_message_idempotency_key",
        table_name="message",
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.drop_index(
        "ix_message_settled",
        table_name="message",
        postgresql_where=sa.text("settled_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_message_ready_domain", table_name="message", postgresql_where=sa.text("state = 'ready'")
    )
    op.drop_index(
        "ix_message_ready", table_name="message", postgresql_where=sa.text("state = 'ready'")
    )
    op.drop_index(
        "ix_message_parked",
        table_name="message",
        postgresql_where=sa.text("state IN ('held', 'unknown')"),
    )
    op.drop_index("ix_message_message_id", table_name="message", postgresql_using="hash")
    op.drop_index(
        "ix_message_leased",
        table_name="message",
        postgresql_where=sa.text("state IN ('released', 'sending')"),
    )
    op.drop_index(
        "ix_message_expires",
        table_name="message",
        postgresql_where=sa.text("state IN ('ready', 'held')"),
    )
    op.drop_index(op.f("ix_message_company_id_id"), table_name="message")
    op.drop_index(op.f("ix_message_body_id"), table_name="message")
    op.drop_table("message")
    op.drop_index(
        "uq_task_run_open", table_name="task_run", postgresql_where=sa.text("ended_at IS NULL")
    )
    op.drop_index(op.f("ix_task_run_task_id_started_at"), table_name="task_run")
    op.drop_table("task_run")
    op.drop_table("task_establishment")
    op.drop_table("sms_task")
    op.drop_table("sms_spend")
    op.drop_table("lane")
    op.drop_index(op.f("ix_inbound_sms_sender"), table_name="inbound_sms")
    op.drop_table("inbound_sms")
    op.drop_table("eurosms_price")
    op.drop_index(op.f("ix_eurosms_account_push_secret"), table_name="eurosms_account")
    op.drop_table("eurosms_account")
    op.drop_index(
        op.f("ix_automatic_task_next_run_at"),
        table_name="automatic_task",
        postgresql_where=sa.text("active"),
    )
    op.drop_table("automatic_task")
    op.drop_table("user")
    op.drop_table("suppression")
    op.drop_index(op.f("ix_process_server_id"), table_name="process")
    op.drop_table("process")
    op.drop_table("establishment")
    op.drop_index(op.f("ix_body_attachment_attachment_id"), table_name="body_attachment")
    op.drop_table("body_attachment")
    op.drop_table("account")
    op.drop_table("server")
    op.drop_table("installation")
    op.drop_table("eurosms_poll")
    op.drop_table("company")
    op.drop_table("body")
    op.drop_index(op.f("ix_audit_log_subject_at"), table_name="audit_log")
    op.drop_table("audit_log")
    op.drop_table("attachment")
    op.drop_index(
        "uq_alarm_open", table_name="alarm", postgresql_where=sa.text("cleared_at IS NULL")
    )
    op.drop_table("alarm")
    op.execute("DROP FUNCTION check_message_move()")
    op.execute("DROP FUNCTION wake_task()")
    op.execute("DROP FUNCTION log_task_limit()")
    op.execute("DROP FUNCTION log_account_limit()")
