"""OAC servers that stand in for a silent one, and which versions work with this schema."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Go forward."""
    op.add_column("server", sa.Column("left_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "process", sa.Column("stands_in", sa.Boolean(), server_default="false", nullable=False)
    )
    op.add_column(
        "installation",
        sa.Column("oldest_schema", sa.Text(), server_default="0001", nullable=False),
    )
    _extend_task()
    _create_stand_in()
    _create_server_change()


def downgrade() -> None:
    """Go back."""
    op.drop_table("task_server_change")
    op.drop_table("task_stand_in")
    for column in ("back_since", "acting_server_id", "stand_in_after"):
        op.drop_column("automatic_task", column)
    op.drop_column("installation", "oldest_schema")
    op.drop_column("process", "stands_in")
    op.drop_column("server", "left_at")


def _extend_task() -> None:
    op.add_column("automatic_task", sa.Column("stand_in_after", sa.Float(), nullable=True))
    op.add_column("automatic_task", sa.Column("acting_server_id", sa.BigInteger(), nullable=True))
    op.add_column(
        "automatic_task", sa.Column("back_since", sa.DateTime(timezone=True), nullable=True)
    )
    op.create_check_constraint(
        op.f("ck_automatic_task_stand_in_after"),
        "automatic_task",
        "stand_in_after BETWEEN 10 AND 86400",
    )
    op.create_foreign_key(
        op.f("fk_automatic_task_acting_server_id"),
        "automatic_task",
        "server",
        ["acting_server_id"],
        ["id"],
    )


def _create_stand_in() -> None:
    op.create_table(
        "task_stand_in",
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.SmallInteger(), nullable=False),
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["automatic_task.id"],
            name=op.f("fk_task_stand_in_task_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["server_id"], ["server.id"], name=op.f("fk_task_stand_in_server_id")
        ),
        sa.PrimaryKeyConstraint("task_id", "place", name=op.f("pk_task_stand_in")),
        sa.UniqueConstraint(
            "task_id", "server_id", name=op.f("uq_task_stand_in_task_id_server_id")
        ),
    )


def _create_server_change() -> None:
    op.create_table(
        "task_server_change",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("from_server_id", sa.BigInteger(), nullable=False),
        sa.Column("to_server_id", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["automatic_task.id"],
            name=op.f("fk_task_server_change_task_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["from_server_id"], ["server.id"], name=op.f("fk_task_server_change_from_server_id")
        ),
        sa.ForeignKeyConstraint(
            ["to_server_id"], ["server.id"], name=op.f("fk_task_server_change_to_server_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_server_change")),
    )
    op.create_index(
        op.f("ix_task_server_change_task_id_at"), "task_server_change", ["task_id", "at"]
    )
