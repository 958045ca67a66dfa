"""The four ways in, by one caller: how long it waits, until it is a message, how many a second.

    python -m benchmarks.enqueueing_ways [MESSAGES]    default: 200; five times as many at once

A real `kadencia api`, beat and worker with the product's own settings. “caller” is how long the
caller waits until the message counts as taken by that way's own promise; of Celery, until the
broker has the task. “message” is from there until it is one in the outbox, seen by asking every
millisecond. “at once” is a crowd of them, until the last is a message.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg2
from celery import Celery
from kadencia_client import Client, Email
from sqlalchemy import Engine, make_url, text

from benchmarks import stand
from settings import load
from tests.support.api import ApiProcess, token_of
from tests.support.fleet import QUICK, Fleet
from tests.support.process_table import wait_until
from tests.support.rows import make_company
from tests.support.services import Services
from worker import db
from worker.enqueueing import Draft, enqueue
from worker.registers import sql_roles
from worker.registers.naming import find_company

TEXT = "Dobrý deň, v prílohe posielame faktúru za služby. Ďakujeme. " * 8
SQL = """
    SELECT kadencia.enqueue_email(ARRAY['jana@zakaznik.example'], 'Faktúra', %s,
        idempotency_key => %s)
"""
CROWD = 5


@dataclass(slots=True)
class Way:
    """How a way does: times in ms."""

    name: str
    caller: list[float] = field(default_factory=list)
    message: list[float] = field(default_factory=list)

    def show(self, count: int, seconds: float) -> None:
        """Print a row."""
        until = f"{_of(self.message)}" if self.message else f"{'at once':>17}"
        print(
            f"{self.name:<22} {_of(self.caller)}  {until}  {count / seconds:9,.0f} rows/s",
            flush=True,
        )


def _of(found: list[float]) -> str:
    p99 = sorted(found)[min(round(len(found) * 0.99), len(found) - 1)]
    return f"{statistics.median(found):8.2f} {p99:8.2f}"


class Outbox:
    """Looks how many messages there are, or whether one is there."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def has(self, key: str) -> bool:
        """Whether there is a message under this key."""
        query = text("SELECT EXISTS (SELECT FROM message WHERE idempotency_key = :key)")
        return bool(self._connection.execute(query, {"key": key}).scalar_one())

    def count(self, prefix: str) -> int:
        """How many there are whose keys begin so."""
        query = text("SELECT count(*) FROM message WHERE idempotency_key LIKE :like")
        return int(self._connection.execute(query, {"like": f"{prefix}%"}).scalar_one())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def singly(way: Way, outbox: Outbox, send: Callable[[str], object], times: int, wait: bool) -> None:
    """Send one after the other; `wait` for each to be a message before the next."""
    for number in range(times):
        key = f"{way.name}-{number}"
        began = time.perf_counter()
        send(key)
        taken = time.perf_counter()
        way.caller.append((taken - began) * 1000)
        while wait and not outbox.has(key):
            time.sleep(0.001)
        if wait:
            way.message.append((time.perf_counter() - taken) * 1000)


def together(way: Way, outbox: Outbox, send: Callable[[str], object], times: int) -> float:
    """Send many without waiting for any; returns the seconds until all are messages."""
    began = time.perf_counter()
    for number in range(times):
        send(f"crowd-{way.name}-{number}")
    wait_until(lambda: outbox.count(f"crowd-{way.name}-") == times, 120)
    return time.perf_counter() - began


def draft(company: int, key: str) -> Draft:
    address = ["jana@zakaznik.example"]
    return Draft(company_id=company, to=address, subject="Faktúra", text=TEXT, idempotency_key=key)


def mail(key: str) -> Email:
    address = ["jana@zakaznik.example"]
    return Email(to=address, subject="Faktúra", text=TEXT, idempotency_key=key)


def in_process(engine: Engine, company: int) -> Callable[[str], object]:
    """The yardstick: `worker.enqueueing` in a transaction of its own."""
    settings = load({})

    def send(key: str) -> None:
        with engine.begin() as connection:
            enqueue(connection, draft(company, key), settings)

    return send


@contextmanager
def by_sql(engine: Engine) -> Iterator[Callable[..., object]]:
    """As a service does that is logged in as its own role."""
    with db.transaction(engine, who="benchmark") as connection:
        company = find_company(connection, None)
        password = sql_roles.allow(connection, company, "eshop", rotate=False)
    url = make_url(engine.url).set(drivername="postgresql", username="eshop", password=password)
    connection = psycopg2.connect(url.render_as_string(hide_password=False))

    def send(*keys: str) -> None:
        with connection, connection.cursor() as cursor:
            for key in keys:
                cursor.execute(SQL, (TEXT, key))

    yield send
    connection.close()


@contextmanager
def by_celery(services: Services) -> Iterator[Callable[[str], object]]:
    """As an application does that knows the broker alone."""
    app = Celery(broker=services.valkey_url(), set_as_current=False)

    def send(key: str) -> None:
        document = {"schema": 1, "to": ["jana@zakaznik.example"], "subject": "Faktúra"}
        document |= {"text": TEXT, "idempotency_key": key}
        given = {"kwargs": {"document": document}, "kwargsrepr": "…", "ignore_result": True}
        app.send_task("kadencia.enqueue_email", queue="kadencia.enqueue", **given)

    yield send
    app.close()


def in_one_transaction(outbox: Outbox, send: Callable[..., object], times: int) -> None:
    """So many by SQL that commit together."""
    way = Way("SQL, one transaction")
    began = time.perf_counter()
    send(*(f"one-{number}" for number in range(times)))
    way.caller.append((time.perf_counter() - began) * 1000)
    wait_until(lambda: outbox.count("one-") == times, 120)
    way.show(times, time.perf_counter() - began)


def batch(client: Client, times: int) -> None:
    """Batches of 500 lines, as the client makes them, and how long each takes."""
    way = Way("HTTP, batches of 500")
    began = last = time.perf_counter()
    keys = (f"batch-{number}" for number in range(times))
    for number, one in enumerate(client.send_emails(map(mail, keys)), start=1):
        one.result()
        if number % 500 == 0:
            way.caller.append((time.perf_counter() - last) * 1000)
            last = time.perf_counter()
    way.show(times, time.perf_counter() - began)


def main(times: int = 200) -> None:
    with (
        stand.durable_services() as services,
        stand.fresh_engine(services) as engine,
        Fleet(engine, services.valkey_url(), **dict.fromkeys(QUICK, "")) as fleet,
    ):
        with engine.begin() as connection:
            company = make_company(connection)
        fleet.beat()
        fleet.worker(processes=1)
        outbox = Outbox(engine)
        print(f"{times} singly, {times * CROWD:,} at once; ms: p50 and p99")
        print(f"{'':<22} {'caller':>17}  {'message':>17}  {'at once':>16}")
        yardstick = Way("in-process"), in_process(engine, company)
        ways = [(*yardstick, False)]
        api = ApiProcess(
            {
                "DATABASE_URL": engine.url.render_as_string(hide_password=False),
                "REDIS_URL": services.valkey_url(),
                "KADENCIA_DATA": str(fleet.directory),
                "KADENCIA_API_REQUESTS_MINUTE": "1000000",
            },
            "--no-webhooks",
        )
        with (
            by_sql(engine) as sql,
            by_celery(services) as celery,
            Client(api.url, token_of(engine, company)) as client,
        ):
            http = Way("HTTP, singly")
            ways.append((http, lambda key: client.send_email(mail(key)), False))
            ways += [(Way("SQL"), sql, True), (Way("Celery"), celery, True)]
            for way, send, wait in ways:
                singly(way, outbox, send, times, wait)
                way.show(times * CROWD, together(way, outbox, send, times * CROWD))
            in_one_transaction(outbox, sql, times * CROWD)
            batch(client, times * CROWD)
        api.stop()
        outbox.close()
        fleet.end_all()
        fleet.log.unlink()


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
