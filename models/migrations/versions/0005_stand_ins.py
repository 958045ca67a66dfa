"""OAC servers that stand in for a silent one."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Go forward."""


def downgrade() -> None:
    """Go back."""
