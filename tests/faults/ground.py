"""What fault runs of both channels stand on: servers, a fleet, and lines between them all."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from tests.faults.crew import Beat, Worker
from tests.faults.line import Switchboard
from tests.support.fleet import Fleet
from tests.support.process_table import wait_until
from worker import db
from worker.embedded.directory import DataDirectory
from worker.embedded.postgres import EmbeddedPostgres
from worker.embedded.valkey import EmbeddedValkey

DOT_BY_SECONDS = 5
ANSWER_SECONDS = 5
TIMES = {
    "KADENCIA_WINDOW_SECONDS": "6",
    "KADENCIA_BURST_SECONDS": "2",
    "KADENCIA_QUANTUM_SECONDS": "0.2",
    "KADENCIA_DOT_BY_SECONDS": str(DOT_BY_SECONDS),
    "KADENCIA_ANSWER_TIMEOUT_SECONDS": str(ANSWER_SECONDS),
    # Longer than the longest outage, as in the product.
    "KADENCIA_SENDING_DEADLINE_SECONDS": "25",
    "KADENCIA_RELEASED_DEADLINE_SECONDS": "5",
    "KADENCIA_SILENT_AFTER_SECONDS": "5",
}
PATIENCE_SECONDS = 90
FILLED_SECONDS = 20
FULL = 0.8
"""Chosen: with the burst that the pace allows after a loss it would be too much."""

ANSWERING = """
    SELECT id FROM process WHERE control_answered_at > to_timestamp(:since)
      AND (slots = 0 OR send_answered_at > to_timestamp(:since))
      AND (sms_slots = 0 OR eurosms_answered_at > to_timestamp(:since))
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a budget may hand over in a window, from a moment on.

    Attributes:
        kind: task, account or domain.
        of: the office's name; of an account for SMS, nothing.
        most: envelope recipients, or segments; for each domain by itself, if it is of that kind.
        since_us: µs since the epoch.
    """

    kind: str
    of: str
    most: int
    since_us: int = 0


class Ground:
    """Servers and a fleet; a town of one channel is built upon it.

    Attributes:
        engine: straight to the database, for the judge.
        enqueued: of each message whose enqueueing was committed, by the name that it keeps on
            its way, the office.
        offices: by name, each with an automatic task.
    """

    offices: Mapping[str, Any]

    def __init__(self, root: Path, stack: ExitStack, times: Mapping[str, str]) -> None:
        self.root = root
        self.window_us = int(float(times["KADENCIA_WINDOW_SECONDS"]) * 1_000_000)
        self.data = DataDirectory(root / "town")
        self.postgres = EmbeddedPostgres(self.data)
        self.valkey = EmbeddedValkey(self.data)
        self.postgres.start()
        stack.callback(self.postgres.stop)
        self.valkey.start()
        stack.callback(self.valkey.kill)
        self.board = Switchboard()
        stack.callback(self.board.close)
        self.database_url = self.postgres.url
        self.engine: Engine = db.make_engine(self.database_url, name="judge", pool_size=4)
        stack.callback(self.engine.dispose)
        db.migrate(self.engine)
        self.enqueued: dict[str, str] = {}
        self.fleet = Fleet(self.engine, self.valkey.url, **times)
        stack.callback(self.fleet.clean_up)
        stack.callback(self.fleet.end_all)
        self.beats: list[Beat] = []
        self.workers: list[Worker] = []

    def move_in(self, workers: Sequence[Worker]) -> None:
        """Start two beats and these workers, and wait for them."""
        self.beats += [Beat(self, f"beat-{n}", "") for n in (1, 2)]
        self.workers += workers
        for one in (*self.beats, *self.workers):
            one.start()
        self.ready()

    def ready(self) -> None:
        """Wait until as many parts of workers answer canaries as there are workers."""
        since = time.time()
        wait_until(
            lambda: len(self.sql(ANSWERING, since=since)) >= len(self.workers), PATIENCE_SECONDS
        )

    def enqueue(self, office: str, count: int) -> set[str]:
        """Enqueue messages of an office; their names."""
        raise NotImplementedError

    def stock_up(self, least: int) -> None:
        """Enqueue as much as is missing, for each office to have so many waiting."""
        for name, office in self.offices.items():
            waiting = self.sql(
                "SELECT count(*) AS n FROM message WHERE lane_id = :lane AND state = 'ready'",
                lane=office.task.lane_id,
            )[0].n
            if waiting < least:
                self.enqueue(name, least - waiting)

    def fill_windows(self) -> None:
        """Wait until the last window is nearly full: what forgets it now would exceed it.

        A machine that is too slow for that sends no more than it can anyway.
        """

        def are_full() -> bool:
            self.stock_up(100)
            return self.are_full(time.time_ns() // 1000 - self.window_us)

        with suppress(AssertionError):
            wait_until(are_full, FILLED_SECONDS)

    def are_full(self, since_us: int) -> bool:
        """Whether all that bind have used the most of their limits since a moment."""
        raise NotImplementedError

    def accepted_since(self, moment: float) -> set[str]:
        """The offices whose messages the far side accepted after a moment."""
        raise NotImplementedError

    def sql(self, statement: str, **values: Any) -> Any:
        """Run a statement in a transaction of its own; its rows, if it has any."""
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return result.all() if result.returns_rows else result.rowcount

    def states(self, names: set[str] | None = None) -> dict[str, str]:
        """The state of each message, by its name."""
        if names is None:
            rows = self.sql("SELECT message_id, state FROM message")
        else:
            rows = self.sql(
                "SELECT message_id, state FROM message WHERE message_id = ANY (:names)",
                names=list(names),
            )
        return {row.message_id: row.state for row in rows}

    def leave(self, log: Path | None) -> None:
        """Kill the fleet, and keep its log if that is asked for."""
        for one in (*self.workers, *self.beats):
            one.kill()
        if log is not None:
            log.write_bytes(self.fleet.log.read_bytes())
