"""Enqueueing by SQL functions and by Celery tasks."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Go forward."""


def downgrade() -> None:
    """Go back."""
