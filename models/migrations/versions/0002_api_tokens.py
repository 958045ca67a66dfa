"""Tokens of the HTTP API, and answers kept under an idempotency key."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Go forward."""


def downgrade() -> None:
    """Go back."""
