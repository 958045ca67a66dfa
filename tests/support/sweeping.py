"""Sweeping automatic tasks in tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Row, text

from settings.names import Task
from tests.support import permits
from tests.support.kernel import make_settings
from tests.support.rows import MadeTask, make_account, make_company, make_message, make_task
from worker.sweeps import Sweeper
from worker.throttle import Throttle

AT_ONCE = {"KADENCIA_BURST_SECONDS": "3600"}
"""The pace lets a whole cadence go in a burst."""


class Sweeps:
    """A sweeper of the OAC server `main`, and what it published."""

    def __init__(self, engine: Engine, throttle: Throttle, **environment: str) -> None:
        self.engine, self.throttle = engine, throttle
        self.settings = make_settings(**{**AT_ONCE, **environment})
        self.published: list[tuple[int, str, str]] = []
        self.sweeper = Sweeper(engine, throttle, self.settings, "main", self._publish)

    def _publish(self, name: str, args: list[Any], queue: str) -> None:
        assert name == Task.SEND
        self.published.append((args[0], args[1], queue))

    def sweep(self, task: MadeTask, sweep_no: int = 0) -> list[int]:
        """Sweep a task once; the ids of what was published, in order."""
        before = len(self.published)
        released = self.sweeper.sweep(task.id, sweep_no)
        assert released == len(self.published) - before
        return [one[0] for one in self.published[before:]]

    def task(self, task: MadeTask) -> Row[Any]:
        """The task's row."""
        with self.engine.connect() as connection:
            query = text("SELECT *, clock_timestamp() AS now FROM automatic_task WHERE id = :id")
            return connection.execute(query, {"id": task.id}).one()

    def next_in(self, task: MadeTask) -> float | None:
        """Seconds until the task's next sweep; None if only a wake-up brings it."""
        row = self.task(task)
        return row.next_run_at and (row.next_run_at - row.now).total_seconds()

    def run(self, task: MadeTask) -> Row[Any] | None:
        """The journal's newest entry of a task."""
        with self.engine.connect() as connection:
            query = text("SELECT * FROM task_run WHERE task_id = :id ORDER BY id DESC LIMIT 1")
            return connection.execute(query, {"id": task.id}).one_or_none()

    def use(self, task: MadeTask, domains: Mapping[str, int], times: int = 1) -> None:
        """Permits that were answered just now, in a task's budgets."""
        with self.engine.connect() as connection:
            generation = connection.execute(text("SELECT generation FROM installation")).scalar()
        for _ in range(times):
            asked = permits.asking(
                limit=10_000,
                domains=domains,
                task=task.id,
                account=task.account_id,
                generation=generation,
            )
            assert self.throttle.acquire(asked) is None
            self.throttle.confirm(asked.permit, asked.budgets)


def new_task(engine: Engine, account: Mapping[str, Any] | None = None, **columns: Any) -> MadeTask:
    """A task whose account has connections in plenty, unless told otherwise."""
    with engine.begin() as connection:
        company = make_company(connection)
        of = {"most_connections": 100, **(account or {})}
        return make_task(connection, company, make_account(connection, company, **of), **columns)


def enqueue(
    engine: Engine,
    task: MadeTask,
    count: int = 1,
    *,
    to: Sequence[str] = ("anna@firma.example",),
    age: float = 60,
    **columns: Any,
) -> list[int]:
    """Ready messages, the first the oldest; their ids."""
    due = datetime.now(UTC) - timedelta(seconds=age)
    with engine.begin() as connection:
        return [
            make_message(
                connection,
                task,
                recipients=to,
                **{"not_before": due + timedelta(milliseconds=number), **columns},
            ).id
            for number in range(count)
        ]
