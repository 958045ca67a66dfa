"""What tests of the kernel share: settings, a throttle that is whole, and looks at rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, text

from settings import Settings, load
from tests.support.redis_clients import connect
from worker.delivery import Delivery
from worker.rebuild import rebuild
from worker.throttle import Throttle
from worker.vault import Vault

SHORT = {
    "KADENCIA_DOT_BY_SECONDS": "3",
    "KADENCIA_ANSWER_TIMEOUT_SECONDS": "3",
    "KADENCIA_SENDING_DEADLINE_SECONDS": "9",
}
"""The longest that anything in these tests waits."""

MICROSECONDS = 1_000_000


def make_settings(**environment: str) -> Settings:
    """Settings with short time-outs."""
    return load({**SHORT, **environment})


def make_throttle(engine: Engine, url: str, settings: Settings) -> Throttle:
    """The throttle of a database, its log whole."""
    throttle = Throttle(
        connect(url),
        window_us=round(settings.window_seconds * MICROSECONDS),
        handover_max_us=round(settings.handover_max_seconds * MICROSECONDS),
    )
    rebuild(engine, throttle)
    return throttle


def make_delivery(
    engine: Engine,
    throttle: Throttle,
    settings: Settings,
    vault: Vault | None = None,
    worker: str = "main/tests/1",
) -> Delivery:
    """What a sending process of the OAC server `main` does."""
    return Delivery(engine, throttle, vault or Vault([]), settings, "main", worker)


def message(connection: Connection, message_id: int) -> Row[Any]:
    """A message's row."""
    query = text("SELECT * FROM message WHERE id = :id")
    return connection.execute(query, {"id": message_id}).one()


def attempts(connection: Connection, message_id: int) -> Sequence[Row[Any]]:
    """A message's attempts, oldest first."""
    query = text("SELECT * FROM attempt WHERE message_id = :id ORDER BY opened_at")
    return connection.execute(query, {"id": message_id}).all()


def attempt(connection: Connection, attempt_id: UUID | None) -> Row[Any]:
    """One attempt."""
    query = text("SELECT * FROM attempt WHERE id = :id")
    return connection.execute(query, {"id": attempt_id}).one()


def recipients(connection: Connection, message_id: int) -> list[str]:
    """The states of a message's recipients, in order."""
    query = text("SELECT state FROM recipient WHERE message_id = :id ORDER BY position")
    return list(connection.execute(query, {"id": message_id}).scalars())


def change(connection: Connection, table: str, row_id: int, **columns: Any) -> None:
    """Set columns of a row by hand."""
    changes = ", ".join(f"{name} = :{name}" for name in columns)
    query = text(f'UPDATE "{table}" SET {changes} WHERE id = :row_id')
    connection.execute(query, {**columns, "row_id": row_id})
