"""A real beat and worker take in what services hand in by SQL and Celery."""

from __future__ import annotations

import json
import re
import signal
import uuid
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import redis
from celery import Celery
from sqlalchemy import make_url, text

from settings.celery import BROKER_OPTIONS
from tests.support.api import ApiProcess, token_of
from tests.support.elsewhere import ROOT, Elsewhere, examples
from tests.support.fleet import Fleet
from tests.support.process_table import wait_until
from tests.support.rows import make_company
from worker import db
from worker.registers import sql_roles
from worker.registers.naming import find_company

pytestmark = [pytest.mark.slow, pytest.mark.acceptance]

EXAMPLES = examples()
README = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "client" / "README.md").read_text(), re.M | re.S
)
BY_SQL = """
    SELECT kadencia.enqueue_email(ARRAY['a@b.example'], 'SQL', 'Dobrý deň',
        idempotency_key => 'sql-' || %s)
"""
SECRET = "tajomstvo@zakaznik.example"


@pytest.fixture
def fleet(engine, redis_url):
    with engine.begin() as connection:
        make_company(connection, name="Kvetinárstvo Ruža")
    with Fleet(engine, redis_url, KADENCIA_LOG_LEVEL="INFO") as made:
        yield made


@pytest.fixture
def app(redis_url):
    made = Celery(broker=redis_url, set_as_current=False)
    made.conf.broker_transport_options = BROKER_OPTIONS
    yield made
    made.close()


def send(app, subject="Faktúra", options=None, **changes):
    """Hand in an e-mail as a careless application does."""
    document = {
        "schema": 1,
        "to": [SECRET],
        "subject": subject,
        "text": "Dobrý deň",
        "idempotency_key": str(uuid.uuid4()),
        **changes,
    }
    given = {"kwargs": {"document": document}, "queue": "kadencia.enqueue"}
    app.send_task("kadencia.enqueue_email", **given, **(options or {}))
    return document["idempotency_key"]


def count(engine, where="true"):
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM message WHERE {where}")).scalar_one()


def sql_role(engine):
    with db.transaction(engine, who="tests") as connection:
        company = find_company(connection, None)
        name = f"eshop_{uuid.uuid4().hex[:8]}"
        password = sql_roles.allow(connection, company, name, rotate=False)
    url = make_url(engine.url).set(drivername="postgresql", username=name, password=password)
    return name, url.render_as_string(hide_password=False)


def test_the_examples_go_the_whole_way_and_times_of_celery_count_for_nothing(
    engine, redis_url, fleet, app, tmp_path
):
    fleet.beat()
    fleet.worker()
    name, database = sql_role(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA shop"))
        connection.execute(text("CREATE TABLE shop.invoice (number int)"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA shop TO {name}"))
        connection.execute(text(f"GRANT INSERT ON shop.invoice TO {name}"))
    elsewhere = Elsewhere(tmp_path / "venv")

    elsewhere.run(EXAMPLES["sql"], SHOP_DATABASE=database, INVOICE="20")
    elsewhere.run(EXAMPLES["celery"], BROKER_URL=redis_url)
    send(app, options={"expires": 0.001, "countdown": 3600})

    wait_until(lambda: count(engine) == 3, 15)


def test_the_client_is_installed_and_speaks_with_a_process_of_its_own(engine, redis_url, tmp_path):
    with engine.begin() as connection:
        company = make_company(connection, name="Kvetinárstvo Ruža")
    elsewhere = Elsewhere(tmp_path / "venv")
    elsewhere.install(ROOT / "client")
    place = engine.url.render_as_string(hide_password=False)
    data = str(tmp_path / "data")
    api = ApiProcess({"DATABASE_URL": place, "REDIS_URL": redis_url, "KADENCIA_DATA": data})
    given = {"API_URL": api.url, "API_TOKEN": token_of(engine, company)}

    first = elsewhere.run(EXAMPLES["client"], **given)
    for example in README:
        elsewhere.run(example, **given)

    assert first.endswith(" ready\n")
    assert count(engine, "priority = 2") == 1000
    assert count(engine) == 1001
    typed = elsewhere.run("import kadencia_client as k; print(k.__path__[0])").strip()
    assert (Path(typed) / "py.typed").exists()
    api.stop()
    assert given["API_TOKEN"] not in api.written


def test_nobody_sees_in_events_looks_or_logs_what_a_task_carries(engine, fleet, app):
    fleet.beat()
    fleet.worker()
    seen = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": seen.append})
        stream = receiver.itercapture(limit=None, timeout=30, wakeup=True)
        next(stream)  # it listens from now on

        send(app)
        send(app, schema=9)
        send(app, to=["tajomstvo@"])

        while not _done(seen, 3):
            next(stream)
    active = app.control.inspect(timeout=2).stats()
    fleet.end_all()

    told = json.dumps(seen) + json.dumps(active) + fleet.log.read_text()
    shown = {one["kwargs"] for one in seen if one.get("name") == "kadencia.enqueue_email"}
    assert shown == {"…"}
    assert "tajomstvo" not in told
    assert "Dobrý" not in told
    assert count(engine) == 1


def _done(seen, wanted):
    ours = {
        one["uuid"]
        for one in seen
        if one["type"] == "task-received" and one["name"] == "kadencia.enqueue_email"
    }
    ended = {one["uuid"] for one in seen if one["type"] == "task-succeeded"}
    return len(ours & ended) >= wanted


def test_what_was_handed_in_while_postgresql_was_away_is_there_afterwards(services, redis_url, app):
    with services.extra_postgres() as server:
        engine = db.make_engine(server.url, name="tests")
        db.migrate(engine)
        with engine.begin() as connection:
            make_company(connection, name="Kvetinárstvo Ruža")
        with Fleet(engine, redis_url) as fleet:
            fleet.beat()
            fleet.worker()
            server.stop()
            keys = [send(app) for _ in range(5)]
            wait_until(lambda: "the database is away" in fleet.log.read_text(), 30)
            server.start()
            engine.dispose()
            wait_until(lambda: _count_or_none(engine) == len(keys), 60)
        engine.dispose()


def _count_or_none(engine):
    try:
        return count(engine)
    except Exception:
        return None


def test_a_worker_that_is_stopped_leaves_what_it_has_not_taken_in(engine, fleet, app):
    fleet.beat()
    worker = fleet.worker()
    for number in range(200):
        send(app, subject=f"Faktúra {number}")
    wait_until(lambda: count(engine) > 0, 15)
    fleet.end(worker, signal.SIGTERM)
    taken = count(engine)

    fleet.worker()

    wait_until(lambda: count(engine) == 200, 60)
    assert taken <= 200


def test_a_worker_killed_while_it_takes_in_loses_nothing_and_doubles_nothing(
    engine, fleet, app, redis_url
):
    fleet.beat()
    worker = fleet.worker()
    _, database = sql_role(engine)
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        for number in range(1000):
            cursor.execute(BY_SQL, [str(number)])
        connection.commit()
    for number in range(50):
        send(app, subject=f"Celery {number}")
    wait_until(lambda: count(engine) > 0, 15)
    fleet.end(worker, signal.SIGKILL)

    fleet.worker()

    wait_until(lambda: count(engine, "idempotency_key LIKE 'sql-%'") == 1000, 60)
    with redis.Redis.from_url(redis_url) as client:
        # What the killed one had in hand waits there for the visibility time-out.
        wait_until(lambda: client.llen("kadencia.enqueue") == 0, 60)
        in_hand = sum(b"kadencia.enqueue_email" in one for one in client.hvals("unacked"))
        wait_until(lambda: count(engine, "subject LIKE 'Celery%'") + in_hand >= 50, 30)
    assert in_hand <= 1
