"""The queues of delivery reports at the gateway: one row for each integration ID."""

from __future__ import annotations

from sqlalchemy import Connection, text

ENSURE = text("""
    INSERT INTO eurosms_poll (base_url, integration_id, next_at)
    VALUES (:base_url, :integration_id, clock_timestamp())
    ON CONFLICT (base_url, integration_id) DO NOTHING
""")


def ensure(connection: Connection, base_url: str, integration_id: str) -> None:
    """Make the row of an integration ID, where there is none.

    Accounts of the same integration ID share its reports, and so its row.
    """
    connection.execute(ENSURE, {"base_url": base_url, "integration_id": integration_id})
