"""What benchmarks share: servers as in production, a large outbox, and medians with ratios."""

from __future__ import annotations

import gc
import logging
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, text

from settings import Settings, load
from tests.support.rows import MadeTask, make_body
from tests.support.services import Services, service_directory
from worker import bootstrap, db
from worker.embedded.directory import DataDirectory
from worker.embedded.postgres import EmbeddedPostgres
from worker.throttle import Throttle

# What the product tells of each sweep is not part of the report.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

# `domain` is SQL on the number n of a row, the oldest first.
BACKLOG = """
    INSERT INTO message (company_id, lane_id, priority, not_before, expires_at, domain, cost,
        message_id, subject, body_id)
    SELECT :company, :lane, 1,
        statement_timestamp() + CAST(:since AS interval) + n * interval '1 ms',
        statement_timestamp() + interval '3 days', {domain}, 1,
        '<' || n || '@firma.example>', 'Ponuka', :body
    FROM generate_series(1, CAST(:rows AS bigint)) AS n
"""


@contextmanager
def durable_services() -> Iterator[Services]:
    """Both servers, with the product's own settings: every commit reaches the disk."""
    with ExitStack() as stack:
        root = stack.enter_context(service_directory())
        services = Services(root)
        services.postgres = EmbeddedPostgres(DataDirectory(root / "session"))
        stack.callback(services.stop)
        services.start()
        yield services


@contextmanager
def fresh_engine(services: Services) -> Iterator[Engine]:
    """An engine on a migrated database of its own; Valkey is emptied."""
    url = services.fresh_database()
    services.flush_valkey()
    engine = db.make_engine(url, name="benchmark", pool_size=5)
    try:
        yield engine
    finally:
        engine.dispose()
        services.drop_database(url)


def settings_of(services: Services, engine: Engine, database: int = 0) -> Settings:
    """The product's defaults on these servers; `database` is Valkey's."""
    url = engine.url.render_as_string(hide_password=False)
    return load({"DATABASE_URL": url, "REDIS_URL": services.valkey_url(database)})


def throttle_of(services: Services, engine: Engine) -> Throttle:
    """The product's throttle, with its real times."""
    return bootstrap.make_throttle(settings_of(services, engine))


def fill(
    connection: Connection,
    task: MadeTask,
    rows: int,
    domain: str = "'firma.example'",
    *,
    later: bool = False,
) -> None:
    """Insert ready messages, a millisecond apart in age.

    Args:
        connection: in a transaction.
        task: in its lane.
        rows: how many.
        domain: SQL on their number n.
        later: they wait for tomorrow.
    """
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(
        text(BACKLOG.format(domain=domain)),
        {
            "company": task.company_id,
            "lane": task.lane_id,
            "body": make_body(connection),
            "rows": rows,
            "since": timedelta(days=1) if later else timedelta(hours=-2),
        },
    )


def analyse(engine: Engine) -> None:
    """What autovacuum does within a minute of such a load; and no dirty pages left to write."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM (ANALYZE) message"))
        connection.execute(text("CHECKPOINT"))


def times_ms(
    run: Callable[[], Any], times: int, between: Callable[[], Any] | None = None
) -> list[float]:
    """How long each run took, in ms; `between` puts things back and is not counted."""
    found = []
    for number in range(times + 3):
        gc.collect()
        started = time.perf_counter()
        run()
        took = (time.perf_counter() - started) * 1000
        if number >= 3:  # the first ones fill caches
            found.append(took)
        if between is not None:
            between()
    return found


def show(what: str, found: list[float], base: float | None = None) -> float:
    """Print the median, the 95th percentile and the ratio to a base; returns the median."""
    median = statistics.median(found)
    p95 = sorted(found)[min(round(len(found) * 0.95), len(found) - 1)]
    ratio = "" if base is None else f"  x{median / base:.2f}"
    print(f"{what:<58} {median:8.2f} ms  p95 {p95:8.2f} ms{ratio}", flush=True)
    return median
