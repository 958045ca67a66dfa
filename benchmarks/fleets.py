"""Real workers that send a backlog to the sink: what throughput and memory are measured on."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Engine, text

from benchmarks import stand
from settings import load
from tests.support.fleet import QUICK, Fleet
from tests.support.rows import MadeTask, make_account, make_company, make_task
from tests.support.services import Services
from tests.support.sink import SinkProcess
from worker.enqueueing import Draft, enqueue

CADENCE = 5_000_000
"""An hour: out of the way."""

# A message like the first one, to another recipient.
COPY = text("""
    WITH made AS (
        INSERT INTO message (company_id, lane_id, priority, not_before, expires_at, domain, cost,
            message_id, subject, body_id)
        SELECT m.company_id, m.lane_id, m.priority, m.not_before, m.expires_at, m.domain, m.cost,
            '<' || :batch || '-' || n || '@firma.example>', m.subject, m.body_id
        FROM message m CROSS JOIN generate_series(1, :copies) AS n WHERE m.id = :id
        RETURNING id)
    INSERT INTO recipient (message_id, position, address, domain)
    SELECT id, 0, 'r' || id || '@firma.example', 'firma.example' FROM made
""")
# The trigger of the cadence tells beat at once.
START = text("UPDATE automatic_task SET active = true WHERE id = :task")
DONE = text("SELECT count(*) FROM message WHERE state = 'sent'")


@dataclass(frozen=True, slots=True)
class Run:
    """A fleet at work; `fleet.log` is dropped by `finish`."""

    engine: Engine
    fleet: Fleet
    task: MadeTask
    sink: SinkProcess | None = None

    def enqueue(self, copies: int, **draft: object) -> None:
        """Put one message and copies of it into the outbox."""
        make = Draft(
            company_id=self.task.company_id,
            task_id=self.task.id,
            to=["r@firma.example"],
            subject="Ponuka",
            **draft,  # type: ignore[arg-type]
        )
        with self.engine.begin() as connection:
            first = enqueue(connection, make, load({})).message_id
            values = {"batch": uuid.uuid4().hex, "copies": copies - 1, "id": first}
            connection.execute(COPY, values)

    def begin(self) -> None:
        """Let the task send."""
        with self.engine.begin() as connection:
            connection.execute(START, {"task": self.task.id})

    def sent(self) -> int:
        """How many messages are sent and settled."""
        with self.engine.connect() as connection:
            found: int = connection.execute(DONE).scalar_one()
            return found

    def dots(self) -> list[float]:
        """When final dots came, in seconds since the epoch."""
        assert self.sink is not None
        return [entry["dot_us"] / 1e6 for entry in self.sink.journal()]

    def log(self) -> list[dict[str, object]]:
        """What the fleet told of its sweeps."""
        lines = self.fleet.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if '"swept"' in line and line.startswith("{")]


@contextmanager
def run(
    workers: Sequence[int], connections: int, sink: Sequence[str] = (), **environment: str
) -> Iterator[Run]:
    """A beat and workers with so many processes each, on a task with a raised ceiling."""
    with (
        stand.durable_services() as services,
        SinkProcess(*sink) as process,
        on(services, process.port, workers, connections, **environment) as run,
    ):
        yield replace(run, sink=process)


@contextmanager
def on(
    services: Services, port: int, workers: Sequence[int], connections: int, **environment: str
) -> Iterator[Run]:
    """The same on running servers, sending to a port of this host."""
    with (
        stand.fresh_engine(services) as engine,
        Fleet(
            engine,
            services.valkey_url(),
            **{**dict.fromkeys(QUICK, ""), "KADENCIA_LOG_FORMAT": "json", **environment},
        ) as fleet,
    ):
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company, port=port, most_connections=connections)
            task = make_task(
                connection, company, account, active=False, cadence=CADENCE, cadence_ceiling=CADENCE
            )
        fleet.beat()
        for processes in workers:
            fleet.worker(processes=processes)
        yield Run(engine, fleet, task)
        fleet.log.unlink(missing_ok=True)
