"""Webhooks: where they go, what they tell, what became of it."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Go forward."""


def downgrade() -> None:
    """Go back."""
