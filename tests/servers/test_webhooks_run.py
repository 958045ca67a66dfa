"""`kadencia webhook run` as processes: one is killed in mid-POST, two share the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from tests.support.process_table import wait_until
from tests.support.receiver import answer, receiver
from tests.support.rows import make_message, make_task
from worker.core.webhook_addresses import parse_networks
from worker.vault import Vault
from worker.webhooks import register

LOOPBACK = "127.0.0.0/8"
KEY = Fernet.generate_key().decode()
START_SECONDS = 60


@pytest.fixture
def task(engine):
    with engine.begin() as connection:
        return make_task(connection)


@contextmanager
def running(database_url, tmp_path):
    """A courier in a process of its own."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith("KADENCIA_")}
    environ = {
        **outside,
        "DATABASE_URL": database_url,
        "KADENCIA_DATA": str(tmp_path),
        "KADENCIA_KEYS": KEY,
        "KADENCIA_WEBHOOK_ALLOW": LOOPBACK,
        "KADENCIA_LOG_LEVEL": "DEBUG",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "worker", "webhook", "run"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def hook(engine, task, url):
    with engine.begin() as connection:
        networks = parse_networks(LOOPBACK)
        return register.add(connection, task.company_id, Vault([KEY]), networks, url=url)


def send(engine, task, count=1):
    with engine.begin() as connection:
        for _ in range(count):
            made = make_message(connection, task, state="sending")
            connection.execute(
                text("""
                    UPDATE message SET state = 'sent', lease = NULL, deadline = NULL,
                        settled_at = now() WHERE id = :id"""),
                {"id": made.id},
            )


def untold(engine):
    with engine.connect() as connection:
        query = text("SELECT count(*) FROM webhook_delivery WHERE delivered_at IS NULL")
        return connection.execute(query).scalar_one()


def test_what_a_killed_courier_was_telling_is_told_again_by_another(
    engine, database_url, task, tmp_path
):
    with receiver() as there:
        there.behave = there.hang
        hook(engine, task, there.url)
        send(engine, task)
        with running(database_url, tmp_path) as first:
            wait_until(lambda: there.under_way, START_SECONDS)
            first.send_signal(signal.SIGKILL)
            first.wait()
        assert untold(engine) == 1

        there.release.set()
        there.behave = answer(204)
        with engine.begin() as connection:
            connection.execute(text("UPDATE webhook_delivery SET next_at = now()"))
        with running(database_url, tmp_path) as second:
            wait_until(lambda: not untold(engine), START_SECONDS)
            second.send_signal(signal.SIGTERM)
            assert second.wait(30) == 0

    assert len(there.ids) == 2
    assert len(set(there.ids)) == 1


def test_two_couriers_tell_each_event_once_and_write_no_secret(
    engine, database_url, task, tmp_path
):
    def badly(handler):
        handler.wfile.write(b"HTTP/1.0 500 Oj\r\nNo: header\r\n folded\r\nnone at all\r\n\r\n")

    with receiver() as there:
        _, secret = hook(engine, task, f"{there.url}?pass=tajne")
        with running(database_url, tmp_path) as one, running(database_url, tmp_path) as other:
            send(engine, task)
            wait_until(lambda: not untold(engine), START_SECONDS)
            send(engine, task, 100)
            wait_until(lambda: not untold(engine), START_SECONDS)
            there.behave = badly
            send(engine, task)
            wait_until(lambda: len(there.heard) == 102, START_SECONDS)
            for process in (one, other):
                process.send_signal(signal.SIGTERM)
            logs = one.communicate(timeout=30)[0] + other.communicate(timeout=30)[0]

    assert len(there.ids) == len(set(there.ids)) == 102
    assert (one.returncode, other.returncode) == (0, 0)
    for word in (secret, "tajne", KEY):
        assert word not in logs
