"""A real fleet whose SMTP server dies and comes back: mail goes round it, and all limits hold."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, insert, text

from models.smtp import SmtpOauth, TaskAccount
from tests.support.command_line import CommandLine
from tests.support.fleet import Fleet
from tests.support.kernel import change
from tests.support.process_table import wait_until
from tests.support.rows import MadeTask, make_account, make_company, make_message, make_task
from tests.support.sink import SinkProcess
from tests.support.token_server import TokenServer
from worker.vault import Vault

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

MAILBOX = "posta@firma.example"
CONNECTIONS = 2
TOKEN_SECONDS = 5

OVERLAPPING = text("""
    SELECT max(n) FROM (
        SELECT (SELECT count(*) FROM attempt b WHERE b.account_id = a.account_id
                AND b.state <> 'void' AND b.opened_at <= a.opened_at
                AND coalesce(b.closed_at, 'infinity') > a.opened_at) AS n
        FROM attempt a WHERE a.account_id = :account AND a.state <> 'void') AS counted
""")


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "keys"
    file.write_text(Fernet.generate_key().decode())
    return file


@pytest.fixture
def fleet(engine, redis_url, keys):
    with Fleet(engine, redis_url, KADENCIA_KEYS_FILE=str(keys)) as made:
        yield made


@pytest.fixture
def server():
    with TokenServer() as running:
        running.rotates, running.seconds = True, TOKEN_SECONDS
        yield running


@pytest.fixture
def fallback(tmp_path):
    """A server that takes access tokens."""
    tokens = tmp_path / "tokens"
    tokens.write_text(" ".join(f"token-{number}" for number in range(1, 50)))
    arguments = ("--user", MAILBOX, "--token-file", str(tokens), "--mechanisms", "XOAUTH2")
    with SinkProcess(*arguments, "--delay", "0.05") as running:
        yield running


def lay_out(engine: Engine, vault: Vault, own: int, fallback: int, url: str) -> MadeTask:
    """A task with an account of its own, and one with OAuth to fall back to."""
    with engine.begin() as connection:
        company = make_company(connection)
        account = make_account(connection, company, port=own)
        other = make_account(
            connection, company, port=fallback, most_connections=CONNECTIONS, connection_messages=5
        )
        task = make_task(connection, company, account)
        of = {"task_id": task.id, "company_id": company, "account_id": other, "position": 1}
        connection.execute(insert(TaskAccount).values(of))
        connection.execute(
            insert(SmtpOauth).values(
                account_id=other,
                username=MAILBOX,
                token_url=url,
                grant_type="refresh_token",
                client_id="kadencia",
                refresh_token=vault.seal("refresh-0"),
            )
        )
    return task


def enqueue(engine: Engine, task: MadeTask, count: int) -> None:
    with engine.begin() as connection:
        for number in range(count):
            make_message(connection, task, recipients=[f"r{number}@firma.example"])


def accepted(engine: Engine) -> Counter[int]:
    """How many mails each account took."""
    query = text("""
        SELECT account_id, count(*) FROM attempt WHERE state = 'accepted' GROUP BY account_id""")
    with engine.connect() as connection:
        return Counter({row[0]: row[1] for row in connection.execute(query)})


def once_each(*journals: list[dict[str, Any]]) -> bool:
    """Whether no mail was taken twice, whichever server took it."""
    taken = Counter(e["message_id"] for one in journals for e in one if e["code"] == 250)
    return set(taken.values()) == {1}


def test_mail_goes_round_a_server_that_died_and_back_when_it_is_up_again(
    engine, fleet, server, fallback, keys, tmp_path
):
    first = SinkProcess()
    vault = Vault([keys.read_text()])
    task = lay_out(engine, vault, first.port, fallback.port, server.url)
    fleet.beat()
    fleet.worker(processes=3)
    fleet.worker(processes=3)
    enqueue(engine, task, 150)
    wait_until(lambda: accepted(engine)[task.account_id] >= 20, 30)

    first.halt()
    states = fleet.settled(60)

    assert states["unknown"] <= 4  # whose answer was on its way when the server died
    assert states["sent"] + states["unknown"] == 150
    [other] = accepted(engine).keys() - {task.account_id}

    before = accepted(engine)[task.account_id]
    with SinkProcess("--port", str(first.port)) as again:
        with engine.begin() as connection:  # as if its wait were over; that may take a minute
            change(connection, "account", task.account_id, breaker_until=datetime.now(UTC))
        enqueue(engine, task, 40)
        wait_until(lambda: accepted(engine)[task.account_id] > before, 60)
        enqueue(engine, task, 40)
        states = fleet.settled(60)
        journals = first.journal(), again.journal(), fallback.journal()

    assert states["sent"] + states["unknown"] == 230
    assert once_each(*journals)
    with engine.connect() as connection:
        most = connection.execute(OVERLAPPING, {"account": other}).scalar_one()
    assert most <= CONNECTIONS
    spent = [form["refresh_token"] for form in server.asked]
    assert len(spent) == len(set(spent))  # each was used once
    url = engine.url.render_as_string(hide_password=False)
    settings = {name: fleet.environment[name] for name in ("KADENCIA_WINDOW_SECONDS",)}
    audit = CommandLine(tmp_path, DATABASE_URL=url, **settings)("audit", "rate")
    assert audit.code == 0, audit.out + audit.err
    first.stop()
