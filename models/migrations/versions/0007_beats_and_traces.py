"""When a beat last ran, and the trace that an enqueued message belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Go forward."""
    op.add_column("installation", sa.Column("beat_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("message", sa.Column("traceparent", sa.Text(), nullable=True))
    # Apart, so that no row that is there gets it.
    default = sa.text("nullif(current_setting('kadencia.traceparent', true), '')")
    op.alter_column("message", "traceparent", server_default=default)


def downgrade() -> None:
    """Go back."""
    op.drop_column("message", "traceparent")
    op.drop_column("installation", "beat_at")
