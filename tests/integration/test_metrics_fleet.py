"""The figures of the fleet: right, cheap, and there even when the servers are not."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text

from settings import load
from tests.support.redis_clients import connect
from tests.support.rows import (
    make_attempt,
    make_eurosms_account,
    make_lane,
    make_message,
    make_sms,
    make_sms_task,
    make_task,
)
from tests.support.shared_database import rolled_back, shared_engine
from worker import db
from worker.figures import Day, Point, of_database
from worker.figures import catalogue as of
from worker.metrics.fleet import AWAY, Fleet, Looker, families
from worker.throttle import Throttle

SETTINGS = load({})
NOWHERE = "postgresql://kadencia:tajne@127.0.0.1:1/kadencia"


@pytest.fixture(scope="module")
def shared(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def connection(shared):
    with rolled_back(shared, "tests") as connection:
        yield connection


def figures(connection, day=None):
    seen = of_database(connection, SETTINGS, day or Day())
    return {(point.figure.name, *point.labels): point.value for point in seen.points}


def throttle(url):
    return Throttle(connect(url), window_us=3_600_000_000, handover_max_us=660_000_000)


def exposition(look):
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Fleet(look))
    return generate_latest(registry).decode()


def test_the_backlog_is_told_by_automatic_task_and_state(connection):
    task, other = make_task(connection), make_task(connection)
    for state in ("ready", "ready", "released", "sending", "held", "unknown", "sent"):
        make_message(connection, task, state=state)

    seen = figures(connection)

    told = {
        key[2]: value for key, value in seen.items() if key[:2] == (of.BACKLOG.name, str(task.id))
    }
    assert told == {"ready": 2, "released": 1, "sending": 1, "held": 1, "unknown": 1}
    assert seen[of.BACKLOG.name, str(other.id), "ready"] == 0


def test_messages_that_no_task_takes_are_told_as_those_of_task_0(connection):
    task = make_task(connection)
    nobodys = make_lane(connection, task.company_id, channel="sms")
    make_sms(connection, task, lane_id=nobodys)

    seen = figures(connection)

    assert seen[of.BACKLOG.name, "0", "ready"] == 1


def test_only_messages_that_may_go_now_have_an_age(connection):
    task, waiting = make_task(connection), make_task(connection)
    now = datetime.now(UTC)
    make_message(connection, task, not_before=now - timedelta(minutes=5))
    make_message(connection, waiting, not_before=now + timedelta(minutes=5))

    seen = figures(connection)

    assert seen[of.OLDEST.name, str(task.id)] == pytest.approx(300, abs=60)
    assert seen[of.OLDEST.name, str(waiting.id)] == 0


def test_attempts_are_counted_by_outcome_with_the_permits_that_they_had(connection):
    task = make_task(connection)
    make_attempt(connection, task, state="accepted", domains={"a.example": 2, "b.example": 1})
    make_attempt(connection, task, state="deferred")
    make_attempt(connection, task, state="void", text="no permit now: pace")
    make_attempt(connection, task)

    seen = figures(connection)

    assert seen[of.ATTEMPTS.name, str(task.id), "accepted"] == 1
    assert seen[of.COST.name, str(task.id), "accepted"] == 3
    assert seen[of.PERMITS.name, str(task.id), "granted"] == 2
    assert seen[of.PERMITS.name, str(task.id), "refused"] == 1


def test_a_counter_never_falls_when_attempts_turn_out_otherwise_or_are_dropped(connection):
    task, day = make_task(connection), Day()
    late = make_attempt(connection, task, state="unknown")
    before = figures(connection, day)

    connection.execute(text("UPDATE attempt SET state = 'accepted' WHERE id = :id"), {"id": late})
    after = figures(connection, day)
    connection.execute(text("DELETE FROM attempt"))
    at_last = figures(connection, day)

    counters = [key for key in before if key[0].endswith("_total")]
    assert all(before[key] <= after[key] <= at_last[key] for key in counters)
    assert after[of.ATTEMPTS.name, str(task.id), "accepted"] == 1


def test_the_worst_window_holds_what_was_handed_over_within_its_length(connection):
    task = make_task(connection)
    now = datetime.now(UTC)
    for minutes in (1, 30, 59, 62, 89, 90):
        at = now - timedelta(minutes=minutes)
        make_attempt(connection, task, state="accepted", opened_at=at, closed_at=at)

    seen = figures(connection)

    # The one that ended 30 minutes ago holds 30, 59, 62 and 89; 90 was when it began.
    assert seen[of.WORST.name, str(task.id)] == 4


def test_money_of_sms_is_told_by_day_and_month(connection):
    task = make_sms_task(connection, budget_day=5)
    connection.execute(
        text("INSERT INTO sms_spend (task_id, day, spent) VALUES (:t, current_date, 1.25)"),
        {"t": task.id},
    )
    connection.execute(
        text("UPDATE eurosms_account SET balance = 12.5, balance_at = clock_timestamp()")
    )

    seen = figures(connection)

    assert seen[of.SPENT.name, str(task.id), "month"] >= seen[of.SPENT.name, str(task.id), "day"]
    assert seen[of.BUDGET.name, str(task.id), "day"] == 5
    assert seen[of.BALANCE.name, str(task.account_id)] == 12.5


def test_a_thousand_domains_add_no_series_and_no_address_is_told(connection):
    company = make_task(connection).company_id
    account = make_eurosms_account(connection, company, name="objednavky@firma.example")
    task = make_sms_task(connection, company, account, name="pre eva@firma.example")
    message = make_sms(connection, task, state="sent").id
    before = set(figures(connection))

    connection.execute(
        text("""
            INSERT INTO attempt
                (id, message_id, task_id, account_id, worker, cost, domains, state, closed_at)
            SELECT gen_random_uuid(), :message, :task, :account, 'tests', 1,
                jsonb_build_object('firma' || number || '.example', 1), 'accepted',
                clock_timestamp()
            FROM generate_series(1, 1000) AS number
        """),
        {"message": message, "task": task.id, "account": account},
    )
    seen = figures(connection)

    assert set(seen) == before
    assert seen[of.ATTEMPTS.name, str(task.id), "accepted"] == 1000
    told = str(list(seen))
    assert "@" not in told
    assert ".example" not in told


def test_a_scrape_tells_what_is_away_within_seconds(services, shared, redis_url):
    away = db.make_engine(NOWHERE, name="tests")
    began = time.monotonic()

    without_database = exposition(Looker(away, throttle(redis_url), SETTINGS))
    without_redis = exposition(Looker(shared, throttle("redis://127.0.0.1:1/0"), SETTINGS))

    assert time.monotonic() - began < 10
    assert 'kadencia_up{server="postgresql"} 0.0' in without_database
    assert 'kadencia_up{server="redis"} 1.0' in without_database
    assert 'kadencia_up{server="postgresql"} 1.0' in without_redis
    assert 'kadencia_up{server="redis"} 0.0' in without_redis
    assert "tajne" not in without_database


def test_a_database_of_an_older_version_is_up_and_its_schema_told_to_be_old(services, redis_url):
    url = services.empty_database()
    engine = db.make_engine(url, name="tests")
    try:
        db.migrate(engine, "0001")
        told = exposition(Looker(engine, throttle(redis_url), SETTINGS))
    finally:
        engine.dispose()
        services.drop_database(url)

    assert 'kadencia_up{server="postgresql"} 1.0' in told
    assert 'kadencia_up{server="redis"} 1.0' in told
    assert 'kadencia_schema_current{revision="0001"} 0.0' in told


def test_what_hangs_is_told_to_be_away_and_looked_at_by_one_thread():
    goes_on = threading.Event()
    looks = []

    def look():
        looks.append(1)
        goes_on.wait(30)
        return [Point(of.STOPPED, 0)]

    fleet = Fleet(look, answer_seconds=0.1)

    assert fleet.points() == AWAY
    assert fleet.points() == AWAY
    goes_on.set()
    until = time.monotonic() + 10
    while fleet.points() == AWAY and time.monotonic() < until:
        time.sleep(0.01)
    assert fleet.points() == [Point(of.STOPPED, 0)]
    assert len(looks) == 1


@pytest.mark.slow
def test_a_redis_that_hangs_is_told_to_be_away_in_time(services, shared):
    with services.extra_valkey() as valkey:
        fleet = Fleet(Looker(shared, throttle(valkey.url), SETTINGS))
        os.kill(valkey.pid, signal.SIGSTOP)
        began = time.monotonic()

        told = {point.labels: point.value for point in fleet.points() if point.figure == of.UP}

        assert time.monotonic() - began < 9
        assert told == {("postgresql",): 1, ("redis",): 0}
        os.kill(valkey.pid, signal.SIGCONT)


@pytest.mark.slow
def test_a_database_that_hangs_is_told_to_be_away_in_time(services, shared, redis_url):
    fleet = Fleet(Looker(shared, throttle(redis_url), SETTINGS))
    with shared.begin() as connection:
        connection.execute(text("LOCK TABLE message IN ACCESS EXCLUSIVE MODE"))
        began = time.monotonic()

        told = {point.labels: point.value for point in fleet.points() if point.figure == of.UP}

        assert time.monotonic() - began < 9
    assert told == {("postgresql",): 0, ("redis",): 1}


def test_ten_scrapers_cost_as_one():
    looks = []

    def look():
        looks.append(1)
        time.sleep(0.05)
        return [Point(of.STOPPED, 0)]

    fleet = Fleet(look)
    threads = [threading.Thread(target=fleet.points) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(looks) == 1


def test_every_figure_has_its_labels_and_a_fitting_name(shared, redis_url):
    points = Looker(shared, throttle(redis_url), SETTINGS)()

    for point in points:
        assert len(point.labels) == len(point.figure.labels)
        assert re.fullmatch(r"kadencia_[a-z_]+", point.figure.name)
        assert point.figure.name.endswith("_total") == (point.figure.kind == "counter")
    assert len({(p.figure, p.labels) for p in points}) == len(points)
    assert list(families(points))
