"""The real thing for fault runs: servers, a fleet on two OAC servers, lines between them all.

One town serves many faults in a row. Two automatic tasks send through one SMTP server over
accounts of their own; the window is six seconds, and the code is the product's.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.crew import Worker
from tests.faults.ground import FULL, TIMES, Ground, Limit
from tests.faults.journal import Journal
from tests.faults.line import Line
from tests.support.rows import MadeTask, make_account, make_body, make_company, make_task
from tests.support.services import service_directory
from tests.support.sink import SinkProcess

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


class Town(Ground):
    """All of it; made by `town`.

    Attributes:
        enqueued: by Message-ID the office of each message whose enqueueing was committed.
        limits: all that were ever in force, newest last.
        late: spans in µs within which mails reached the SMTP server long after they were written.
    """

    def __init__(self, root: Path, stack: ExitStack, times: Mapping[str, str]) -> None:
        super().__init__(root, stack, times)
        self.sink = stack.enter_context(SinkProcess())
        self.journal = Journal(self.sink.journal_path)
        self.limits = [*LIMITS]
        self.late: list[tuple[int, int]] = []
        self._numbers = itertools.count(1)
        self.offices: dict[str, Office] = self._offices()
        places = (("main-1", "main"), ("main-2", "main"), ("other-1", "other"))
        self.move_in([Worker(self, name, server) for name, server in places])

    @property
    def smtp_lines(self) -> list[Line]:
        return [office.smtp for office in self.offices.values()]

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

    def are_full(self, since_us: int) -> bool:
        """Whether each office has used the most of the narrower of its limits since a moment."""
        for name, office in self.offices.items():
            most = min(x.most for x in self.limits if x.of == name and x.kind != "domain")
            if sum(dot.at_us > since_us for dot in office.smtp.dots[-most:]) < FULL * most:
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

    def arrives_late(self, at_us: int) -> bool:
        """Whether the SMTP server's own clock says nothing of when a dot was written."""
        return any(since <= at_us <= until for since, until in self.late)

    def accepted_since(self, moment: float) -> set[str]:
        """The offices whose mails were accepted after a moment."""
        since_us = moment * 1_000_000
        return {
            entry["sender"].partition("@")[2].partition(".")[0]
            for entry in self.journal.read()[-400:]
            if entry["code"] == 250 and entry["dot_us"] > since_us
        }

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
            made.leave(log)
