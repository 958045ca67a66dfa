"""An automatic task, its OAC server and another that stands in for it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import CursorResult, Engine, Row, text

from tests.support.rows import MadeTask, make_server, make_task
from worker import registry, stand_ins
from worker.outbox import journal
from worker.registers import stand_ins as register
from worker.registers import task_views
from worker.registry import WorkerProcess
from worker.stand_ins import Change

SILENT_AFTER = timedelta(seconds=30)
numbers = itertools.count(1)


class Place:
    """An automatic task, its OAC server and another one, all of a test's own."""

    def __init__(
        self, engine: Engine, make: Callable[..., MadeTask] = make_task, **columns: Any
    ) -> None:
        self.engine, number = engine, next(numbers)
        self.main, self.reserve = f"main{number}", f"reserve{number}"
        with engine.begin() as connection:
            self.task = make(connection, server=self.main, **columns)
            self.reserve_id = make_server(connection, self.reserve)
            register.set_stand_ins(connection, self.task.id, [self.reserve])

    def beat(self, server: str, slots: int = 2, sms_slots: int = 2) -> WorkerProcess:
        """A process of a server, which has been there for an hour."""
        worker = WorkerProcess(uuid.uuid4(), server, "a.example", 7, "1.0", slots, sms_slots)
        registry.beat(self.engine, worker)
        self.run(
            "UPDATE process SET started_at = started_at - interval '1 hour' WHERE id = :id",
            id=worker.id,
        )
        return worker

    def quiet(self, worker: WorkerProcess, seconds: float) -> None:
        """Its last heartbeat was so long ago."""
        self.run(
            "UPDATE process SET beat_at = clock_timestamp() - :ago WHERE id = :id",
            ago=timedelta(seconds=seconds),
            id=worker.id,
        )

    def run(self, statement: str, **values: Any) -> CursorResult[Any]:
        """One statement in a transaction of its own."""
        with self.engine.begin() as connection:
            return connection.execute(text(statement), values)

    def look(self) -> list[Change]:
        """What a beat does every two seconds."""
        return stand_ins.look_after(self.engine, SILENT_AFTER)

    def row(self) -> Row[Any]:
        """The task's."""
        with self.engine.connect() as connection:
            query = text("SELECT * FROM automatic_task WHERE id = :id")
            return connection.execute(query, {"id": self.task.id}).one()

    def in_charge(self) -> str:
        """The server whose sweeps are accepted."""
        with self.engine.connect() as connection:
            swept = journal.swept(connection, self.task.id)
        assert swept is not None
        return str(swept.server)

    def journal(self) -> list[str | None]:
        """What the journal tells of its servers, newest first."""
        with self.engine.connect() as connection:
            entries = task_views.journal(connection, self.row(), 10)
        return [entry["event"] for entry in entries]

    def hand_over(self) -> None:
        """Its own server falls silent, and the other takes over."""
        self.dead = self.beat(self.main)
        self.quiet(self.dead, 31)
        self.alive = self.beat(self.reserve)
        assert [one.server for one in self.look()] == [self.reserve]

    def name(self) -> str:
        """What the task is called."""
        return str(self.row().name)


def pause_all(engine: Engine) -> None:
    """No task of an earlier test is looked at any more."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE automatic_task SET active = false"))
