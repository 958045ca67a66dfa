"""A sweep over a million ready messages against one over ten thousand.

    python -m benchmarks.sweep

Each sweep is the product's: throttle, plan, lease, journal, commit; only the publishing is
recorded instead of sent. What it leased is given back before the next.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from sqlalchemy import Engine, text

from benchmarks import stand
from tests.support.rows import MadeTask, make_account, make_company, make_task
from tests.support.services import Services
from worker import bootstrap
from worker.rebuild import rebuild
from worker.sweeps import Sweeper
from worker.throttle import Throttle, budgets_of, entries

SWEEPS = 60
WARM = 3  # the first ones fill caches
GIVE_BACK = text("""
    UPDATE message SET state = 'ready', lease = NULL, deadline = NULL WHERE state = 'released'
""")

SENT, SENT_AT_ONCE = 100_000, 500
# The moves of a message that is sent, for many at once.
SEND = (
    text("""
        UPDATE message SET state = 'released', lease = gen_random_uuid(), task_id = :task,
            deadline = clock_timestamp() + interval '1 minute'
        WHERE id IN (
            SELECT id FROM message WHERE lane_id = :lane AND priority = 1 AND state = 'ready'
            ORDER BY not_before LIMIT :most)
    """),
    text("UPDATE message SET state = 'sending' WHERE state = 'released'"),
    text("""
        UPDATE message SET state = 'sent', lease = NULL, deadline = NULL,
            settled_at = clock_timestamp()
        WHERE state = 'sending'
    """),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A backlog: how many, in which domains (SQL on n), and which of them are full."""

    name: str
    rows: int
    domain: str = "'firma.example'"
    domain_limit: int | None = None
    full: tuple[str, ...] = ()
    analysed: bool = True
    later: bool = False


def _mixed(domains: int) -> str:
    return f"'d' || lpad((n * 7919 % {domains})::text, 5, '0') || '.example'"


MILLION = 1_000_000
FIRST_2000 = tuple(f"d{n:05}.example" for n in range(2000))
EACH_25TH = tuple(f"d{n:05}.example" for n in range(0, 50_000, 25))
CASES = (
    Case("1,000,000 ready", MILLION),
    Case("1,000,000 ready, statistics of an empty table", MILLION, analysed=False),
    Case("1,000,000 that wait for tomorrow, and 10 ready", MILLION, later=True),
    Case(
        "1,000,000, the oldest 99 % in one full domain",
        MILLION,
        f"CASE WHEN n <= 990000 THEN 'full.example' ELSE {_mixed(1000)} END",
        500,
        ("full.example",),
    ),
    Case("1,000,000 in 50,000 domains, 100 full", MILLION, _mixed(50_000), 1, EACH_25TH[:100]),
    Case("1,000,000 in 50,000 domains, 2,000 full", MILLION, _mixed(50_000), 1, EACH_25TH),
    Case(
        "the same, the full ones' 40,000 are the oldest",
        MILLION,
        f"CASE WHEN n <= 40000 THEN 'd' || lpad((n * 7919 % 2000 * 25)::text, 5, '0')"
        f" || '.example' ELSE {_mixed(50_000)} END",
        1,
        EACH_25TH,
    ),
    Case(
        "the same, the full ones first in the alphabet",
        MILLION,
        f"CASE WHEN n <= 40000 THEN {_mixed(2000)} ELSE {_mixed(50_000)} END",
        1,
        FIRST_2000,
    ),
)


class Swept:
    """A backlog, and the sweeper of its task."""

    def __init__(self, services: Services, engine: Engine, case: Case, database: int) -> None:
        self.engine = engine
        self.task = prepare(engine, case)
        settings = stand.settings_of(services, engine, database)
        throttle = bootstrap.make_throttle(settings)
        rebuild(engine, throttle)
        fill_domains(throttle, self.task, case)
        self._sweeper = Sweeper(engine, throttle, settings, "main", lambda *_, **__: None)

    def once(self) -> float:
        """How long a sweep took, in ms; what it released is given back afterwards."""
        started = time.perf_counter()
        released = self._sweeper.sweep(self.task.id, 0)
        took = (time.perf_counter() - started) * 1000
        assert released > 0, "a sweep released nothing"
        with self.engine.begin() as connection:
            connection.execute(GIVE_BACK)
        return took


def main() -> None:
    with stand.durable_services() as services, stand.fresh_engine(services) as engine:
        small = Swept(services, engine, Case("10,000 ready", 10_000), 1)
        for case in CASES:
            with stand.fresh_engine(services) as large:
                compare(case.name, Swept(services, large, case, 0), small)
        with stand.fresh_engine(services) as large:
            _after_much_sending(Swept(services, large, Case("", MILLION), 0), small)


def compare(name: str, swept: Swept, small: Swept) -> None:
    """Sweep both in turn: what else the machine does then slows both alike."""
    pairs = [(small.once(), swept.once()) for _ in range(SWEEPS + WARM)][WARM:]
    base, found = (list(times) for times in zip(*pairs, strict=True))
    stand.show(name, found, stand.show("10,000 ready, in turn with the next line", base))


def _after_much_sending(swept: Swept, small: Swept) -> None:
    """Whether what was sent is still in a sweep's way, with autovacuum as the product sets it."""
    task = swept.task
    values = {"task": task.id, "lane": task.lane_id, "most": SENT_AT_ONCE}
    for _ in range(SENT // SENT_AT_ONCE):
        with swept.engine.begin() as connection:
            for statement in SEND:
                connection.execute(statement, values)
    compare("right after 100,000 of 1,000,000 were sent", swept, small)


def prepare(engine: Engine, case: Case) -> MadeTask:
    """The task and its backlog."""
    with engine.begin() as connection:
        company = make_company(connection)
        account = make_account(
            connection, company, most_connections=8, domain_hourly_limit=case.domain_limit
        )
        task = make_task(connection, company, account, cadence=3000)
        stand.fill(connection, task, case.rows, case.domain, later=case.later)
        if case.later:
            stand.fill(connection, task, 10)
    if case.analysed:
        stand.analyse(engine)
    return task


def fill_domains(throttle: Throttle, task: MadeTask, case: Case) -> None:
    """Put so many permits into the throttle's log that the case's domains are full."""
    if not case.full or case.domain_limit is None:
        return
    now_us = throttle.begin_rebuild("benchmark")
    for domain in case.full:
        budgets = budgets_of(
            task_id=task.id,
            task_limit=3000,
            account_id=task.account_id,
            account_limit=None,
            domain_limit=case.domain_limit,
            domains={domain: 1},
        )
        for _ in range(case.domain_limit):
            throttle.add_permits(entries(uuid.uuid4(), budgets, now_us))
    throttle.note_full(task.account_id, case.full)


if __name__ == "__main__":
    main()
