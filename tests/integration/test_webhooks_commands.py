"""`kadencia webhook`, as an operator types it; and the receiver of the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from settings import load
from tests.support.command_line import CommandLine
from tests.support.process_table import wait_until
from tests.support.receiver import answer, receiver
from tests.support.rows import make_message, make_task
from tests.support.shared_database import shared_engine
from worker.vault import Vault
from worker.webhooks import courier as courier_module
from worker.webhooks.courier import Courier

PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"
LOOPBACK = "127.0.0.0/8"
KEY = Fernet.generate_key().decode()


@pytest.fixture(scope="module")
def engine(services):
    with shared_engine(services) as made:
        yield made


@pytest.fixture
def task(engine):
    with engine.begin() as connection:
        for table in ("webhook", "webhook_event", "message", "lane", "automatic_task", "account"):
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text('DELETE FROM "user"'))
        connection.execute(text("DELETE FROM company"))
        return make_task(connection)


@pytest.fixture
def kadencia(engine, tmp_path):
    url = engine.url.render_as_string(hide_password=False)
    return CommandLine(
        tmp_path, DATABASE_URL=url, KADENCIA_KEYS=KEY, KADENCIA_WEBHOOK_ALLOW=LOOPBACK
    )


@pytest.fixture
def courier(engine, monkeypatch):
    monkeypatch.setattr(courier_module, "POLL_SECONDS", 0.05)
    stop = threading.Event()
    settings = load({"KADENCIA_WEBHOOK_ALLOW": LOOPBACK})
    thread = threading.Thread(target=Courier(engine, Vault([KEY]), settings).run, args=(stop,))
    thread.start()
    yield
    stop.set()
    thread.join(30)


def send(engine, task):
    with engine.begin() as connection:
        made = make_message(connection, task, state="sending")
        connection.execute(
            text("""
                UPDATE message SET state = 'sent', lease = NULL, deadline = NULL,
                    settled_at = now() WHERE id = :id"""),
            {"id": made.id},
        )
    return made.id


def test_a_webhook_is_made_tried_told_disabled_and_told_again(engine, task, kadencia, courier):
    with receiver() as there:
        made = kadencia.done("webhook", "add", there.url, "--event", "sent", "--json").json
        number, secret = str(made["id"]), made["secret"]

        kadencia.done("webhook", "test", number)
        assert there.heard[0].json["type"] == "test"
        assert there.heard[0].is_signed_with(secret)

        send(engine, task)
        wait_until(lambda: len(there.heard) == 2)
        kadencia.done("webhook", "disable", number)
        send(engine, task)
        refused = kadencia("webhook", "replay", number, "--since", "2026-01-01T00:00")
        assert (refused.code, "is disabled" in refused.err) == (2, True)
        kadencia.done("webhook", "enable", number)
        again = kadencia.done(
            "webhook", "replay", number, "--since", "2026-01-01T00:00", "--undelivered"
        )
        assert again.out.startswith("1 event is told again")
        wait_until(lambda: len(there.heard) == 3)

        (newest, _) = kadencia.done("webhook", "deliveries", number, "--json").json
        kadencia.done("webhook", "replay", number, "--delivery", str(newest["id"]))
        wait_until(lambda: len(there.heard) == 4)

    assert there.ids[2] == there.ids[3]
    assert secret not in kadencia.done("webhook", "show", number, "--json").out
    assert secret not in kadencia.done("webhook", "list").out


def test_what_a_receiver_answers_to_a_trial_is_told(task, kadencia):
    with receiver(answer(404)) as there:
        number = str(kadencia.done("webhook", "add", there.url, "--json").json["id"])

        ended = kadencia("webhook", "test", number)

    assert (ended.code, "did not take it: HTTP 404" in ended.err) == (1, True)


def test_a_webhook_is_changed_given_a_new_secret_and_removed(task, kadencia):
    made = kadencia.done("webhook", "add", "https://prijem.firma.example/stav", "--json").json
    number = str(made["id"])

    kadencia.done("webhook", "set", number, "--event", "failed", "--channel", "sms")
    shown = kadencia.done("webhook", "show", number, "--json").json
    assert (shown["events"], shown["channels"]) == (["failed"], ["sms"])
    assert kadencia.done("webhook", "set", number).out == "changed: nothing\n"
    rotated = kadencia.done("webhook", "rotate", number).out.strip()
    assert rotated.startswith("whsec_")
    assert rotated != made["secret"]
    kadencia.done("webhook", "remove", number)

    gone = kadencia("webhook", "show", number)
    assert (gone.code, f"there is no webhook {number}" in gone.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["add", "https://10.0.0.1/"], "leads to a private network", id="inside"),
        pytest.param(["add", "nonsense"], "is no web address", id="no URL"),
        pytest.param(
            ["add", "https://a.example/", "--event", "ready"], "no state that is told", id="a state"
        ),
        pytest.param(["replay", "1"], "either --delivery ID or --since TIME", id="neither"),
    ],
)
def test_a_command_that_is_wrong_says_so_and_changes_nothing(task, kadencia, arguments, words):
    ended = kadencia("webhook", *arguments)

    assert (ended.code, words in ended.err) == (2, True), ended.err
    assert kadencia.done("webhook", "list").out == "none\n"


def test_the_receiver_of_the_documentation_verifies_what_it_is_told(
    engine, task, kadencia, courier, tmp_path
):
    program = tmp_path / "receiver.py"
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program.write_text(source)
    with receiver() as placeholder:
        made = kadencia.done("webhook", "add", placeholder.url, "--json").json
    with subprocess.Popen(
        [sys.executable, "-I", program, "0"],
        env={"WEBHOOK_SECRET": made["secret"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        try:
            address = running.stdout.readline().split()[-1]
            number = str(made["id"])
            kadencia.done("webhook", "set", number, "--url", f"http://{address}/")

            message = send(engine, task)

            event_id, kind, named = running.stdout.readline().split()
            assert event_id.startswith("evt_")
            assert (kind, int(named)) == ("email.sent", message)
            kadencia.done("webhook", "rotate", number)
            kadencia.done("webhook", "rotate", number)
            assert "HTTP 403" in kadencia("webhook", "test", number).err
        finally:
            running.kill()
