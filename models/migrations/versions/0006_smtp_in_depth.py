"""SMTP log-ins by OAuth 2, client certificates, DSN, accounts to fall back to."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Go forward."""
    _create_option()
    _create_oauth()
    _create_task_account()
    _create_detour()


def downgrade() -> None:
    """Go back."""
    for table in ("detour", "task_account", "smtp_oauth", "smtp_option"):
        op.drop_table(table)


def _create_option() -> None:
    op.create_table(
        "smtp_option",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("log_in", sa.Text(), nullable=True),
        sa.Column("cert_file", sa.Text(), nullable=True),
        sa.Column("key_file", sa.Text(), nullable=True),
        sa.Column("dsn", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("dsn_return", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "log_in IN ('plain', 'login', 'cram-md5', 'xoauth2', 'oauthbearer')",
            name=op.f("ck_smtp_option_log_in"),
        ),
        sa.CheckConstraint(
            "key_file IS NULL OR cert_file IS NOT NULL", name=op.f("ck_smtp_option_certificate")
        ),
        sa.CheckConstraint(
            "dsn <@ ARRAY['failure', 'delay', 'success'] OR dsn = ARRAY['never']",
            name=op.f("ck_smtp_option_dsn"),
        ),
        sa.CheckConstraint("cardinality(dsn) > 0", name=op.f("ck_smtp_option_dsn_says_something")),
        sa.CheckConstraint(
            "dsn_return IN ('headers', 'full')", name=op.f("ck_smtp_option_dsn_return")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_smtp_option_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_smtp_option")),
    )


def _create_oauth() -> None:
    op.create_table(
        "smtp_oauth",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("token_url", sa.Text(), nullable=False),
        sa.Column("ca_file", sa.Text(), nullable=True),
        sa.Column("grant_type", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("client_secret", sa.LargeBinary(), nullable=True),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("refresh_token", sa.LargeBinary(), nullable=True),
        sa.Column("access_token", sa.LargeBinary(), nullable=True),
        sa.Column("obtained_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("renew_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "grant_type IN ('client_credentials', 'refresh_token')",
            name=op.f("ck_smtp_oauth_grant_type"),
        ),
        sa.CheckConstraint(
            "(refresh_token IS NOT NULL) = (grant_type = 'refresh_token')",
            name=op.f("ck_smtp_oauth_refresh_token"),
        ),
        sa.CheckConstraint(
            "grant_type <> 'client_credentials' OR client_secret IS NOT NULL",
            name=op.f("ck_smtp_oauth_client_secret"),
        ),
        sa.CheckConstraint(
            "num_nonnulls(access_token, obtained_at, renew_at, expires_at) IN (0, 4)",
            name=op.f("ck_smtp_oauth_token_is_whole"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_smtp_oauth_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_smtp_oauth")),
    )


def _create_task_account() -> None:
    op.create_table(
        "task_account",
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), server_default="email", nullable=False),
        sa.CheckConstraint("channel = 'email'", name=op.f("ck_task_account_channel")),
        sa.CheckConstraint("position BETWEEN 1 AND 9", name=op.f("ck_task_account_position")),
        sa.ForeignKeyConstraint(
            ["task_id", "company_id", "channel"],
            ["automatic_task.id", "automatic_task.company_id", "automatic_task.channel"],
            name=op.f("fk_task_account_task_id_company_id_channel"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["account_id", "company_id", "channel"],
            ["account.id", "account.company_id", "account.channel"],
            name=op.f("fk_task_account_account_id_company_id_channel"),
        ),
        sa.PrimaryKeyConstraint("task_id", "position", name=op.f("pk_task_account")),
        sa.UniqueConstraint(
            "account_id", "task_id", name=op.f("uq_task_account_account_id_task_id")
        ),
    )


def _create_detour() -> None:
    op.create_table(
        "detour",
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("lease", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_detour_account_id")),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["message.id"],
            name=op.f("fk_detour_message_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_detour")),
    )
