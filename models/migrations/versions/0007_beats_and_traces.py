"""When a beat last ran, and the trace that an enqueued message belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Go forward."""
    op.add_column("installation", sa.Column("beat_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("message", sa.Column("traceparent", sa.Text(), nullable=True))


def downgrade() -> None:
    """Go back."""
    op.drop_column("message", "traceparent")
    op.drop_column("installation", "beat_at")
