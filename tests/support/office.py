"""One sending process with its SMTP server, for tests that send one message."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, Row, text

from tests.support.kernel import attempts, make_delivery, make_settings, message, recipients
from tests.support.rows import (
    MadeMessage,
    MadeTask,
    make_account,
    make_company,
    make_message,
    make_task,
)
from tests.support.sink import SinkProcess
from worker.throttle import Throttle


class Office:
    """One sending process and an SMTP server; `delivery` may be replaced by another's."""

    def __init__(self, engine: Engine, throttle: Throttle, sink: SinkProcess) -> None:
        self.engine, self.throttle, self.sink = engine, throttle, sink
        self.settings = make_settings()
        self.delivery = make_delivery(engine, throttle, self.settings)

    def task(self, account: Mapping[str, Any] | None = None, **columns: Any) -> MadeTask:
        """A task that sends through the sink."""
        with self.engine.begin() as connection:
            company = make_company(connection)
            of = {"port": self.sink.port, **(account or {})}
            return make_task(
                connection, company, make_account(connection, company, **of), **columns
            )

    def released(
        self, task: MadeTask, *, to: Sequence[str] = ("anna@firma.example",), **columns: Any
    ) -> MadeMessage:
        """A message that a sweep has released."""
        with self.engine.begin() as connection:
            return make_message(connection, task, recipients=to, state="released", **columns)

    def send(self, made: MadeMessage) -> Row[Any]:
        """Send a released message; its row afterwards."""
        assert made.lease is not None
        self.delivery.send(made.id, made.lease)
        return self.row(made)

    def row(self, made: MadeMessage) -> Row[Any]:
        """A message's row."""
        with self.engine.connect() as connection:
            return message(connection, made.id)

    def attempts(self, made: MadeMessage) -> Sequence[Row[Any]]:
        """A message's attempts, oldest first."""
        with self.engine.connect() as connection:
            return attempts(connection, made.id)

    def recipients(self, made: MadeMessage) -> list[str]:
        """The states of a message's recipients."""
        with self.engine.connect() as connection:
            return recipients(connection, made.id)

    def account(self, task: MadeTask) -> Row[Any]:
        """The row of a task's SMTP account."""
        with self.engine.connect() as connection:
            query = text("SELECT * FROM account WHERE id = :id")
            return connection.execute(query, {"id": task.account_id}).one()

    def arrived(self, made: MadeMessage) -> list[dict[str, Any]]:
        """The transactions in which the message's final dot came."""
        name = self.row(made).message_id
        return [e for e in self.sink.journal() if e["message_id"] == name and e["dot_us"]]

    def permits(self, task: MadeTask) -> list[float]:
        """What the task's log holds: when each permit begins to age, in seconds from now."""
        client = self.throttle.client
        now = client.time()[0]
        found = client.zrange(f"kadencia:throttle:task:{task.id}", 0, -1, withscores=True)
        return [score / 1e6 - now for _, score in found]


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
