"""The courier tells real receivers, and notes what became of it."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from settings import load
from tests.support.process_table import wait_until
from tests.support.receiver import answer, receiver
from tests.support.rows import make_message, make_task
from tests.support.shared_database import shared_engine
from worker import vault
from worker.core.webhook_addresses import parse_networks
from worker.vault import Vault
from worker.webhooks import register
from worker.webhooks.courier import Courier

LOOPBACK = "127.0.0.0/8"
SETTINGS = load({"KADENCIA_WEBHOOK_ALLOW": LOOPBACK})
VAULT = Vault([vault.new_key()])


@pytest.fixture(scope="module")
def engine(services):
    with shared_engine(services) as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_is_left(engine):
    yield
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM webhook"))
        connection.execute(text("DELETE FROM webhook_event"))


@pytest.fixture
def task(engine):
    with engine.begin() as connection:
        return make_task(connection)


@contextmanager
def courier(engine, settings=SETTINGS, vault=VAULT):
    stop = threading.Event()
    thread = threading.Thread(target=Courier(engine, vault, settings).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def hook(engine, task, url, **chosen):
    """A webhook; its number and its secret."""
    with engine.begin() as connection:
        networks = parse_networks(LOOPBACK)
        return register.add(connection, task.company_id, VAULT, networks, url=url, **chosen)


def change(engine, task, *states, **columns):
    """A message that goes through these states; its number."""
    with engine.begin() as connection:
        made = make_message(connection, task, state="sending", **columns)
    for state in states:
        with engine.begin() as connection:
            connection.execute(
                text("""
                    UPDATE message SET state = :state, lease = NULL, deadline = NULL,
                        settled_at = CASE WHEN :state NOT IN ('ready', 'unknown', 'held')
                            THEN now() END
                    WHERE id = :id"""),
                {"state": state, "id": made.id},
            )
    return made.id


def rows(engine, query, **values):
    with engine.connect() as connection:
        return connection.execute(text(query), values).all()


def only(engine):
    """The only delivery."""
    (found,) = rows(engine, "SELECT * FROM webhook_delivery")
    return found


def webhook(engine, number):
    (found,) = rows(engine, "SELECT * FROM webhook WHERE id = :id", id=number)
    return found


def test_a_change_of_state_is_told_within_a_second_and_signed(engine, task):
    with receiver() as there, courier(engine):
        _, secret = hook(engine, task, there.url)

        message = change(engine, task, "sent", reference="FA-2026-1")
        wait_until(lambda: there.heard, 5)

        (heard,) = there.heard
        assert heard.is_signed_with(secret)
        assert heard.json["type"] == "email.sent"
        assert heard.json["data"] == {
            "id": message,
            "channel": "email",
            "state": "sent",
            "state_sk": "Odoslané",
            "reference": "FA-2026-1",
        }
        wait_until(lambda: only(engine).delivered_at is not None)
    assert (only(engine).attempts, only(engine).last_status, only(engine).lease) == (1, 204, None)


def test_a_receiver_that_fails_is_told_again_later_under_the_same_id(engine, task):
    with receiver(answer(500)) as there, courier(engine):
        number, _ = hook(engine, task, there.url)
        change(engine, task, "failed")
        wait_until(lambda: only(engine).last_why == "HTTP 500")
        waits = rows(engine, "SELECT next_at - last_at FROM webhook_delivery")[0][0]

        there.behave = answer(200)
        with engine.begin() as connection:
            connection.execute(text("UPDATE webhook_delivery SET next_at = now()"))
        wait_until(lambda: only(engine).delivered_at is not None)

    assert 5 <= waits.total_seconds() < 7
    assert len(there.ids) == 2
    assert len(set(there.ids)) == 1
    assert (webhook(engine, number).failures, webhook(engine, number).failing_since) == (0, None)
    assert only(engine).last_why is None
