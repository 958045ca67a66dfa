"""A sweep over a million ready messages against one over ten thousand.

    python -m benchmarks.sweep

Each sweep is the product's: throttle, plan, lease, journal, commit; only the publishing is
recorded instead of sent. What it leased is given back before the next.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import Engine, text

from benchmarks import stand
from tests.support.rows import MadeTask, make_account, make_company, make_task
from tests.support.services import Services
from worker.rebuild import rebuild
from worker.sweeps import Sweeper
from worker.throttle import Throttle, budgets_of, entries

SWEEPS = 60
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
    Case("10,000 ready", 10_000),
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


def main() -> None:
    with stand.durable_services() as services:
        base = None
        for case in CASES:
            with stand.fresh_engine(services) as engine:
                found = _measure(services, engine, case)
            median = stand.show(case.name, found, base)
            base = base or median
        with stand.fresh_engine(services) as engine:
            _after_much_sending(services, engine)


def _after_much_sending(services: Services, engine: Engine) -> None:
    """Whether what was sent is still in a sweep's way, with autovacuum as the product sets it."""
    case = Case("before 100,000 of 1,000,000 are sent", MILLION)
    task = prepare(engine, case)
    throttle = stand.throttle_of(services, engine)
    rebuild(engine, throttle)
    sweep = sweeper(services, engine, throttle)

    def put_back() -> None:
        with engine.begin() as connection:
            connection.execute(GIVE_BACK)

    def sweeps() -> list[float]:
        return stand.times_ms(lambda: sweep.sweep(task.id, 0), SWEEPS, put_back)

    base = stand.show(case.name, sweeps())
    values = {"task": task.id, "lane": task.lane_id, "most": SENT_AT_ONCE}
    for _ in range(SENT // SENT_AT_ONCE):
        with engine.begin() as connection:
            for statement in SEND:
                connection.execute(statement, values)
    stand.show("right after 100,000 were sent", sweeps(), base)


def _measure(services: Services, engine: Engine, case: Case) -> list[float]:
    task = prepare(engine, case)
    throttle = stand.throttle_of(services, engine)
    rebuild(engine, throttle)
    fill_domains(throttle, task, case)
    sweep = sweeper(services, engine, throttle)
    released: list[int] = []

    def put_back() -> None:
        with engine.begin() as connection:
            connection.execute(GIVE_BACK)

    found = stand.times_ms(lambda: released.append(sweep.sweep(task.id, 0)), SWEEPS, put_back)
    assert min(released) > 0, f"{case.name}: a sweep released nothing"
    return found


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


def sweeper(services: Services, engine: Engine, throttle: Throttle) -> Sweeper:
    """The product's, which publishes to nobody."""
    settings = stand.settings_of(services, engine)
    return Sweeper(engine, throttle, settings, "main", lambda *_, **__: None)


if __name__ == "__main__":
    main()
