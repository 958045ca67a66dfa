"""Which OAC server an automatic task runs on at present: everything that asks reads it here."""

from __future__ import annotations

IN_CHARGE = "coalesce(t.acting_server_id, t.server_id)"
"""SQL: the server in charge of the automatic task t: its own, or the one that stands in."""
