"""`kadencia api` as a process: memory, its end, its log."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.api import ApiProcess, Caller, SlowBatch, token_of
from tests.support.process_table import wait_until
from tests.support.rows import make_task

pytestmark = pytest.mark.slow

NDJSON = {"Content-Type": "application/x-ndjson"}
GROWTH_MB_MOST = 25
"""Chosen: 10,000 e-mails of 2 kB and their answers would take 30 MB and more."""


@pytest.fixture
def environ(database_url, redis_url):
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url}


@pytest.fixture
def token(engine):
    with engine.begin() as connection:
        task = make_task(connection)
    return token_of(engine, task.company_id)


def highest_mb(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def emails(count, first=0):
    for number in range(first, first + count):
        email = {"to": [f"a{number}@tajny.example"], "subject": "s", "text": f"{number} " * 300}
        yield json.dumps(email).encode() + b"\n"


def hand_in(caller, count, first=0, **headers):
    answer = caller.post(
        "/v1/emails/batch",
        data=emails(count, first),
        headers=NDJSON | headers,
        stream=True,
        timeout=120,
    )
    yield from (json.loads(line) for line in answer.iter_lines())


def test_memory_does_not_grow_with_a_batch_and_the_line_after_the_last_is_refused(environ, token):
    process = ApiProcess(environ, "--no-webhooks")
    with Caller(process.url, token) as caller:
        assert sum("id" in one for one in hand_in(caller, 400)) == 400
        before = highest_mb(process.pid)

        answers = list(hand_in(caller, 10_001, first=400))

        grown = highest_mb(process.pid) - before
    assert process.stop() == 0
    assert [one["line"] for one in answers] == list(range(1, 10_002))
    assert all("id" in one for one in answers[:-1])
    assert answers[-1]["error"]["type"] == "/problems/too-large"
    assert grown < GROWTH_MB_MOST
    log = process.written
    assert "tajny.example" not in log
    assert token.split("_", 2)[2] not in log


def test_told_to_end_it_ends_what_is_under_way(environ, token, engine):
    process = ApiProcess(environ)
    answers = []
    with Caller(process.url, token) as caller:
        thread = threading.Thread(target=lambda: answers.extend(hand_in(caller, 3000)))
        thread.start()
        wait_until(lambda: _count(engine) > 0)

        code = process.stop(signal.SIGTERM)

        thread.join()
    assert code == 0
    assert len(answers) == _count(engine) == 3000


def test_killed_in_the_middle_nothing_that_was_answered_is_lost_and_a_repeat_doubles_nothing(
    environ, token, engine
):
    key = {"Idempotency-Key": "davka"}
    lines = [json.loads(line) for line in emails(1000)]
    process = ApiProcess(environ, "--no-webhooks")
    with Caller(process.url, token) as caller, closing(SlowBatch(caller, **key)) as batch:
        batch.send(lines[:600])
        answered = {one["line"]: one["id"] for one in batch.answers(600)}
        batch.send(lines[600:])
        assert process.stop(signal.SIGKILL) == -signal.SIGKILL
    assert set(answered.values()) <= set(_ids(engine))

    process = ApiProcess(environ, "--no-webhooks")
    with Caller(process.url, token) as caller:
        again = {one["line"]: one["id"] for one in hand_in(caller, 1000, **key)}
    assert process.stop() == 0

    assert len(again) == _count(engine) == 1000
    assert all(again[line] == number for line, number in answered.items())


def _ids(engine):
    with engine.connect() as connection:
        return connection.exec_driver_sql("SELECT id FROM message").scalars().all()


def _count(engine):
    with engine.connect() as connection:
        return connection.exec_driver_sql("SELECT count(*) FROM message").scalar_one()


def test_an_address_that_is_taken_is_said(environ, token):
    process = ApiProcess(environ, "--no-webhooks")
    port = process.url.rpartition(":")[2]

    with pytest.raises(AssertionError, match="cannot listen on"):
        ApiProcess(environ, "--no-webhooks", "--port", port)

    assert process.stop() == 0


def test_without_a_database_it_lives_and_is_not_ready(redis_url):
    process = ApiProcess(
        {"DATABASE_URL": "postgresql://x:y@127.0.0.1:1/x", "REDIS_URL": redis_url}, "--no-webhooks"
    )
    with Caller(process.url) as caller:
        lives, ready = caller.get("/healthz"), caller.get("/readyz")
        asked = caller.get("/v1/emails", headers={"Authorization": f"Bearer kad_1_{'x' * 43}"})

    assert process.stop() == 0
    assert (lives.status_code, ready.status_code, asked.status_code) == (200, 503, 503)


def test_who_comes_through_a_named_proxy_is_counted_by_an_address_of_its_own(environ, token):
    process = ApiProcess({**environ, "KADENCIA_API_FAILURES_MINUTE": "1"}, "--no-webhooks")
    with Caller(process.url, f"kad_1_{'x' * 43}") as guesser, Caller(process.url, token) as known:
        there = {"X-Forwarded-For": "192.0.2.7"}
        guessed = [guesser.get("/v1/emails", headers=there).status_code for _ in range(2)]
        others = known.get("/v1/emails", headers={"X-Forwarded-For": "192.0.2.8"}).status_code

    assert process.stop() == 0
    assert (guessed, others) == ([401, 429], 200)
