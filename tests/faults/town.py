"""The real thing for fault runs: servers, a fleet on two OAC servers, lines between them all.

One town serves many faults in a row. Two automatic tasks send through one SMTP server over
accounts of their own; the window is six seconds, and the code is the product's.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from tests.faults.crew import Beat, Worker
from tests.faults.journal import Journal
from tests.faults.line import Line, Switchboard
from tests.support.fleet import Fleet
from tests.support.process_table import wait_until
from tests.support.rows import MadeTask, make_account, make_body, make_company, make_task
from tests.support.services import service_directory
from tests.support.sink import SinkProcess
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


@dataclass(frozen=True, slots=True)
class Limit:
    """What a budget may hand over in a window, from a moment on.

    Attributes:
        kind: task, account or domain.
        of: the office's name.
        most: envelope recipients; for each domain by itself, if it is of that kind.
        since_us: µs since the epoch.
    """

    kind: str
    of: str
    most: int
    since_us: int = 0


LIMITS = (
    Limit("task", "main", 120),
    Limit("account", "main", 100),
    Limit("task", "other", 110),
    Limit("domain", "other", 32),
)
DOMAINS = {"main": ("firma", "obchod", "dielna"), "other": ("sever", "juh", "vychod", "zapad")}


@dataclass(slots=True)
class Office:
    """An automatic task, with its account, and the line to the SMTP server."""

    name: str
    task: MadeTask
    smtp: Line


class Town:
    """All of it; made by `town`.

    Attributes:
        engine: straight to the database, for the judge.
        enqueued: by Message-ID the office of each message whose enqueueing was committed.
        limits: all that were ever in force, newest last.
        late: spans in µs within which mails reached the SMTP server long after they were written.
    """

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
        self.sink = stack.enter_context(SinkProcess())
        self.journal = Journal(self.sink.journal_path)
        self.database_url = self.postgres.url
        self.engine: Engine = db.make_engine(self.database_url, name="judge", pool_size=4)
        stack.callback(self.engine.dispose)
        db.migrate(self.engine)
        self.limits = [*LIMITS]
        self.late: list[tuple[int, int]] = []
        self.enqueued: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self.offices = self._offices()
        self.fleet = Fleet(self.engine, self.valkey.url, **times)
        stack.callback(self.fleet.clean_up)
        stack.callback(self.fleet.end_all)
        self.beats = [Beat(self, f"beat-{n}", "") for n in (1, 2)]
        self.workers = [
            Worker(self, "main-1", "main"),
            Worker(self, "main-2", "main"),
            Worker(self, "other-1", "other"),
        ]
        for one in (*self.beats, *self.workers):
            one.start()
        self.ready()

    @property
    def smtp_lines(self) -> list[Line]:
        return [office.smtp for office in self.offices.values()]

    def ready(self) -> None:
        """Wait until as many parts of workers answer canaries as there are workers."""
        since = time.time()
        wait_until(lambda: self._answering(since) >= len(self.workers), PATIENCE_SECONDS)

    def enqueue(
        self, office: str, count: int, *, local: str = "r", domain: str | None = None
    ) -> set[str]:
        """Enqueue messages of one recipient each; their Message-IDs.

        Args:
            office: whose task sends them.
            count: how many.
            local: how the addresses begin.
            domain: of all addresses; None: the office's in turn.
        """
        domains = [domain] if domain else [f"{one}.example" for one in DOMAINS[office]]
        made = []
        for _ in range(count):
            number = next(self._numbers)
            where = domains[number % len(domains)]
            made.append((f"<{number}@{office}.example>", f"{local}{number}@{where}", where))
        self._insert(self.offices[office].task, made)
        names = {name for name, _, _ in made}
        self.enqueued |= dict.fromkeys(names, office)
        return names

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
        with suppress(AssertionError):
            wait_until(self._are_full, FILLED_SECONDS)

    def _are_full(self) -> bool:
        self.stock_up(100)
        since = time.time_ns() // 1000 - self.window_us
        for name, office in self.offices.items():
            most = min(x.most for x in self.limits if x.of == name and x.kind != "domain")
            if sum(dot.at_us > since for dot in office.smtp.dots[-most:]) < FULL * most:
                return False
        return True

    def limit(self, kind: str, of: str, most: int) -> None:
        """Set a cadence or an hourly limit, from now on."""
        task = self.offices[of].task
        table, column, key = {
            "task": ("automatic_task", "cadence", task.id),
            "account": ("account", "hourly_limit", task.account_id),
            "domain": ("account", "domain_hourly_limit", task.account_id),
        }[kind]
        self.sql(f"UPDATE {table} SET {column} = :most WHERE id = :id", most=most, id=key)
        self.limits.append(Limit(kind, of, most, time.time_ns() // 1000))

    def sql(self, statement: str, **values: Any) -> Any:
        """Run a statement in a transaction of its own; its rows, if it has any."""
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return result.all() if result.returns_rows else result.rowcount

    def arrives_late(self, at_us: int) -> bool:
        """Whether the SMTP server's own clock says nothing of when a dot was written."""
        return any(since <= at_us <= until for since, until in self.late)

    def states(self, names: set[str] | None = None) -> dict[str, str]:
        """The state of each message, by its Message-ID."""
        if names is None:
            rows = self.sql("SELECT message_id, state FROM message")
        else:
            rows = self.sql(
                "SELECT message_id, state FROM message WHERE message_id = ANY (:names)",
                names=list(names),
            )
        return {row.message_id: row.state for row in rows}

    def accepted_since(self, moment: float) -> set[str]:
        """The offices whose mails were accepted after a moment."""
        since_us = moment * 1_000_000
        return {
            entry["sender"].partition("@")[2].partition(".")[0]
            for entry in self.journal.read()[-400:]
            if entry["code"] == 250 and entry["dot_us"] > since_us
        }

    def _answering(self, since: float) -> int:
        rows = self.sql(
            """SELECT id FROM process
            WHERE control_answered_at > to_timestamp(:since)
              AND send_answered_at > to_timestamp(:since)""",
            since=since,
        )
        return len(rows)

    def _offices(self) -> dict[str, Office]:
        made = {}
        for name in ("main", "other"):
            smtp = self.board.line(f"{name}-smtp", self.sink.port)
            most = {limit.kind: limit.most for limit in LIMITS if limit.of == name}
            with self.engine.begin() as connection:
                company = make_company(connection)
                account = make_account(
                    connection,
                    company,
                    port=smtp.port,
                    most_connections=8,
                    connect_timeout=2,
                    command_timeout=2,
                    connection_messages=15,  # so that there are greetings all the time
                    hourly_limit=most.get("account"),
                    domain_hourly_limit=most.get("domain"),
                )
                task = make_task(
                    connection,
                    company,
                    account,
                    server=name,
                    cadence=most["task"],
                    sender_address=f"info@{name}.example",
                    retry_first=1,
                    retry_longest=4,
                )
                self._body = make_body(connection)
            made[name] = Office(name, task, smtp)
        return made

    def _insert(self, task: MadeTask, made: list[tuple[str, str, str]]) -> None:
        names, addresses, domains = (list(column) for column in zip(*made, strict=True))
        self.sql(
            """
            WITH given AS (
                SELECT * FROM unnest(CAST(:names AS text[]), CAST(:addresses AS text[]),
                    CAST(:domains AS text[])) AS g(name, address, domain)),
            stored AS (
                INSERT INTO message (company_id, lane_id, priority, not_before, expires_at,
                    domain, cost, message_id, subject, body_id)
                SELECT :company, :lane, 1, clock_timestamp(),
                    clock_timestamp() + interval '1 day', g.domain, 1, g.name, 'Ponuka', :body
                FROM given g RETURNING id, message_id)
            INSERT INTO recipient (message_id, position, address, domain)
            SELECT s.id, 0, g.address, g.domain FROM stored s JOIN given g ON g.name = s.message_id
            """,
            names=names,
            addresses=addresses,
            domains=domains,
            company=task.company_id,
            lane=task.lane_id,
            body=self._body,
        )
        self.sql("SELECT pg_notify('kadencia_ready', :lane)", lane=str(task.lane_id))


@contextmanager
def town(log: Path | None = None, **times: str) -> Iterator[Town]:
    """A town that works; all its processes end with the context.

    Args:
        log: where the fleet's log is kept.
        times: settings that differ from `TIMES`.
    """
    with ExitStack() as stack:
        made = Town(stack.enter_context(service_directory()), stack, {**TIMES, **times})
        try:
            yield made
        finally:
            for one in (*made.workers, *made.beats):
                one.kill()
            if log is not None:
                log.write_bytes(made.fleet.log.read_bytes())
