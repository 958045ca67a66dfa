"""Attempts since midnight, as counters that Prometheus can trust."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.support.rows import make_attempt, make_message, make_task
from tests.support.shared_database import rolled_back, shared_engine
from worker.figures import Day
from worker.figures import catalogue as of

MIDNIGHT = datetime(2026, 7, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def shared(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def connection(shared):
    with rolled_back(shared, "tests") as connection:
        yield connection


@pytest.fixture
def task(connection):
    return make_task(connection)


def attempt(connection, task, at, state="accepted"):
    message = make_message(connection, task, state="sent").id
    make_attempt(
        connection, task, message, state=state, opened_at=at, closed_at=at + timedelta(seconds=1)
    )


def accepted(connection, day, task, now):
    day.look(connection, now)
    points = {(point.figure, *point.labels): point.value for point in day.points([task.id])}
    return points[of.ATTEMPTS, str(task.id), "accepted"]


def test_the_counters_begin_anew_at_midnight_utc(connection, task):
    day = Day()
    attempt(connection, task, MIDNIGHT - timedelta(minutes=1))
    assert accepted(connection, day, task, MIDNIGHT - timedelta(seconds=30)) == 1

    attempt(connection, task, MIDNIGHT + timedelta(minutes=1))
    attempt(connection, task, MIDNIGHT + timedelta(minutes=2))

    assert accepted(connection, day, task, MIDNIGHT + timedelta(minutes=5)) == 2


def test_one_that_is_started_again_goes_on_where_the_last_one_was(connection, task):
    for minutes in (10, 200, 400):
        attempt(connection, task, MIDNIGHT + timedelta(minutes=minutes))
    first, now = Day(), MIDNIGHT + timedelta(hours=7)
    accepted(connection, first, task, MIDNIGHT + timedelta(hours=2))

    assert accepted(connection, first, task, now) == 3
    assert accepted(connection, Day(), task, now) == 3


def test_what_is_long_closed_is_counted_once_and_stays_counted(connection, task):
    for minutes in (10, 20, 200):
        attempt(connection, task, MIDNIGHT + timedelta(minutes=minutes))
    day = Day()
    before = accepted(connection, day, task, MIDNIGHT + timedelta(hours=3))

    half_past = {"t": MIDNIGHT + timedelta(minutes=30)}
    connection.execute(text("DELETE FROM attempt WHERE opened_at < :t"), half_past)
    after = accepted(connection, day, task, MIDNIGHT + timedelta(hours=4))

    assert (before, after) == (3, 3)


def test_an_attempt_that_is_open_for_long_is_counted_once_it_is_closed(connection, task):
    at = MIDNIGHT + timedelta(hours=3)
    message = make_message(connection, task, state="sent").id
    late = make_attempt(connection, task, message, opened_at=at)
    day = Day()
    assert accepted(connection, day, task, at + timedelta(minutes=11)) == 0

    connection.execute(
        text("UPDATE attempt SET state = 'accepted', closed_at = :at WHERE id = :id"),
        {"at": at + timedelta(minutes=12), "id": late},
    )

    assert accepted(connection, day, task, at + timedelta(minutes=13)) == 1
