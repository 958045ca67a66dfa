"""Accounts at EuroSMS and tasks of SMS on the command line, with the emulator as the gateway."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest
import requests
from cryptography.fernet import Fernet
from sqlalchemy import text

from tests.support.command_line import CommandLine
from tests.support.emulator import IID, KEY, EmulatorProcess
from tests.support.office import closed_port
from worker.embedded import processes
from worker.eurosms_accounts import PUSH_PATH

WRONG_KEY = "nespravny-kluc"


@pytest.fixture(scope="module")
def gateway():
    with EmulatorProcess() as running:
        yield running


@pytest.fixture
def kadencia(database_url, tmp_path):
    (tmp_path / "keys").write_text(Fernet.generate_key().decode())
    command = CommandLine(tmp_path, DATABASE_URL=database_url)
    command.done("company", "add", "Ruža", "--domain", "ruza.example")
    return command


def add(kadencia, url, key=KEY, iid=IID, **more):
    options = {"--integration-id": iid, "--key-file": "-", "--base-url": url, **more}
    words = [word for pair in options.items() for word in pair]
    return kadencia.done("eurosms", "add", "brána", *words, stdin=key + "\n")


def make_task(kadencia, *more):
    kadencia.done("server", "add", "main")
    kadencia.done("user", "add", "Robot", "--system")
    parts = ["--server", "main", "--user", "Robot", "--eurosms", "brána", "--sender", "Ruza"]
    return kadencia("task", "create-sms", "SMS", *parts, "--cadence", "600", *more)


def test_a_key_is_never_shown_and_an_emulator_is_remarked_on(kadencia, gateway):
    added = add(kadencia, gateway.url)
    shown = kadencia.done("eurosms", "show", "brána")
    told = kadencia.done("eurosms", "show", "brána", "--json")

    for ended in (added, shown, told, kadencia.done("eurosms", "list")):
        assert KEY not in ended.out + ended.err
    assert "an emulator" in added.err
    assert told.json["integration_id"] == IID


def test_the_balance_is_asked_for_and_kept(kadencia, gateway):
    add(kadencia, gateway.url)

    said = kadencia.done("eurosms", "balance", "brána").out

    amount, currency = said.split()
    assert currency == "EUR"
    (row,) = kadencia.done("eurosms", "list", "--json").json
    assert (row["balance"], row["balance_at"] is None) == (amount, False)
    asked = kadencia.done("eurosms", "balance", "brána", "--json").json
    assert asked == {"balance": amount, "currency": "EUR"}


def test_a_dry_run_says_that_all_is_right_and_sends_nothing(kadencia, gateway):
    add(kadencia, gateway.url)
    sent = len(gateway.records())

    ended = kadencia.done("eurosms", "test", "brána")

    for what in ("integration ID", "key", "sender Kadencia"):
        assert f"the {what} is right" in ended.out
    assert "ENQUEUED" in ended.out
    assert "EUR" in ended.out
    assert len(gateway.records()) == sent


def test_a_dry_run_takes_the_sender_of_a_task_or_what_is_given(kadencia, gateway):
    add(kadencia, gateway.url)
    make_task(kadencia)

    assert "the sender Ruza is right" in kadencia.done("eurosms", "test", "brána").out
    given = ["--sender", "+421903622237", "--number", "0905 123 456", "--text", "Ďakujeme"]
    ended = kadencia.done("eurosms", "test", "brána", *given)
    assert "from 421903622237 to +421905123456" in ended.out


@pytest.mark.parametrize(
    ("key", "iid", "right", "wrong", "mend"),
    [
        pytest.param(WRONG_KEY, IID, "integration ID", "key", "--key-file", id="a wrong key"),
        pytest.param(KEY, "1-Nobody", None, "integration ID", "--integration-id", id="a wrong ID"),
    ],
)
def test_what_is_wrong_is_said_with_the_gateways_words(
    kadencia, gateway, key, iid, right, wrong, mend
):
    add(kadencia, gateway.url, key, iid)

    ended = kadencia("eurosms", "test", "brána")

    assert ended.code == 1
    assert f"the {wrong} is WRONG" in ended.out
    assert right is None or f"the {right} is right" in ended.out
    assert "WRONG_" in ended.err
    assert f"`kadencia eurosms set brána {mend}" in ended.err
    assert key not in ended.out + ended.err


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        pytest.param(
            {"kind": "refuse", "code": "WRONG_SENDER"}, 1, "refuses the sender", id="its sender"
        ),
        pytest.param(
            {"kind": "refuse", "code": "NO_BALANCE"}, 1, "top the account up", id="no credit"
        ),
        pytest.param(
            {"kind": "refuse", "code": "MSG_TOO_LONG"}, 1, "another --number or", id="its text"
        ),
        pytest.param(
            {"kind": "redirect"}, 1, "correct the --base-url of brána", id="another server's answer"
        ),
        pytest.param({"kind": "html"}, 3, "brána has not answered", id="no answer of a gateway"),
        pytest.param({"kind": "truncated"}, 3, "has not answered", id="half an answer"),
    ],
)
def test_why_a_dry_run_failed_is_said(kadencia, gateway, fault, code, words):
    add(kadencia, gateway.url)
    gateway.misbehave({**fault, "path": "test/*"})

    ended = kadencia("eurosms", "test", "brána")
    gateway.misbehave()

    assert (ended.code, words in ended.err) == (code, True), ended.err


def test_a_balance_that_cannot_be_had_does_not_fail_a_dry_run(kadencia, gateway):
    add(kadencia, gateway.url)
    gateway.misbehave({"kind": "error-html", "path": "balance*"})

    ended = kadencia("eurosms", "test", "brána")
    gateway.misbehave()

    assert (ended.code, "the balance is not known" in ended.err) == (0, True)


def test_a_corrected_key_is_right_and_paused_tasks_are_remembered(kadencia, gateway, engine):
    add(kadencia, gateway.url, WRONG_KEY)
    make_task(kadencia)
    with engine.begin() as connection:
        paused = "UPDATE automatic_task SET active = false, paused_why = 'WRONG_SIGNATURE'"
        connection.execute(text(paused))

    changed = kadencia.done("eurosms", "set", "brána", "--key-file", "-", stdin=KEY)

    assert "changed: key" in changed.out
    assert "`kadencia task resume 'SMS'` ends that" in changed.err
    assert kadencia("eurosms", "test", "brána").code == 0
    assert "paused why" in kadencia.done("task", "show", "SMS").out
    kadencia.done("task", "resume", "SMS")
    assert kadencia.done("task", "show", "SMS", "--json").json["paused_why"] is None


def test_an_unknown_integration_has_no_balance(kadencia, gateway):
    add(kadencia, gateway.url, iid="1-Nobody")

    ended = kadencia("eurosms", "balance", "brána")

    assert ended.code == 1
    assert "BAD_INT" in ended.err


@pytest.mark.parametrize("command", ["balance", "test"])
def test_a_gateway_that_is_away_is_code_3(kadencia, command):
    with closed_port() as port:
        add(kadencia, f"http://127.0.0.1:{port}")
        ended = kadencia("eurosms", command, "brána")

    assert ended.code == 3
    assert "brána" in ended.err


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        pytest.param([], "x", "missing: --integration-id", id="no integration ID"),
        pytest.param(["--integration-id", "1"], "x", "looks like 1-Ab12cD", id="none like that"),
        pytest.param(["--integration-id", IID], "", "key is empty", id="no key"),
        pytest.param(["--integration-id", IID, "--price", "x"], "x", "no sum", id="no price"),
    ],
)
def test_a_wrong_account_is_refused_and_not_made(kadencia, arguments, stdin, words):
    ended = kadencia("eurosms", "add", "x", "--key-file", "-", *arguments, stdin=stdin)

    assert ended.code == 2
    assert words in ended.err
    assert kadencia.done("eurosms", "list", "--json").json == []


def test_an_account_is_changed_disabled_and_enabled(kadencia, gateway):
    add(kadencia, gateway.url, **{"--hourly-limit": "500", "--price": "0,05"})
    networks = ["--push-from", "192.0.2.0/24", "--push-from", "2001:db8::1"]

    kadencia.done("eurosms", "set", "brána", "--name", "hlavná", "--poll-seconds", "5", *networks)
    kadencia.done("eurosms", "set", "hlavná", "--hourly-limit", "0", "--price", "")
    kadencia.done("eurosms", "disable", "hlavná")

    row = kadencia.done("eurosms", "show", "hlavná", "--json").json
    assert (row["hourly_limit"], row["price"], row["enabled"]) == (None, None, False)
    assert (row["poll_seconds"], row["push_from"]) == (5.0, ["192.0.2.0/24", "2001:db8::1/128"])
    assert "is enabled now" in kadencia.done("eurosms", "enable", "hlavná").out
    kadencia.done("eurosms", "set", "hlavná", "--push-from", "")
    assert kadencia.done("eurosms", "show", "hlavná", "--json").json["push_from"] is None


def test_accounts_of_the_two_kinds_keep_to_their_commands(kadencia, gateway):
    add(kadencia, gateway.url)

    assert kadencia.done("smtp", "list", "--json").json == []
    refused = kadencia("smtp", "show", "brána")
    assert (refused.code, "`kadencia eurosms` deals with it" in refused.err) == (2, True)


def test_a_path_for_pushed_reports_is_shown_once(kadencia, gateway):
    add(kadencia, gateway.url)

    path = kadencia.done("eurosms", "push-path", "brána").out.strip()

    assert path.startswith(PUSH_PATH)
    shown = kadencia.done("eurosms", "show", "brána", "--json")
    assert shown.json["pushed"] is True
    assert path.removeprefix(PUSH_PATH) not in shown.out
    assert "any more" in kadencia.done("eurosms", "push-path", "brána", "--remove").out
    assert "none were" in kadencia.done("eurosms", "push-path", "brána", "--remove").out


def test_a_task_of_sms_is_made_changed_and_shown(kadencia, gateway):
    add(kadencia, gateway.url, **{"--price": "0.05"})

    made = make_task(kadencia, "--validity", "2d", "--budget-day", "5", "--no-diacritics")
    assert made.code == 0, made.err
    assert "no worker of its OAC server is alive that sends SMS" in made.err
    changes = ["--long", "--high-priority", "--budget-day", "0", "--budget-month", "50,5"]
    kadencia.done("task", "set-sms", "SMS", *changes, "--days", "mon-fri", "--hours", "8:00-18:00")

    row = kadencia.done("task", "show", "SMS", "--json").json
    assert row["type"] == "Posielanie SMS správ cez EuroSMS"
    assert (row["validity_seconds"], row["diacritics"], row["long_texts"]) == (172_800, False, True)
    assert (row["budget_day"], row["budget_month"], row["spent_today"]) == (None, "50.50", "0.00")
    assert row["plan"] == "mon-fri 08:00-18:00"
    assert "SMS" in kadencia.done("task", "list").out
    for command in ("pause", "resume", "run", "journal"):
        kadencia.done("task", command, "SMS")


def test_a_budget_without_a_price_says_what_to_do(kadencia, gateway):
    add(kadencia, gateway.url)

    refused = make_task(kadencia, "--budget-day", "5")

    assert refused.code == 2
    assert "`kadencia eurosms set NAME --price 0.05`" in refused.err
    assert kadencia.done("task", "list", "--json").json == []


def test_the_commands_of_the_other_channels_tasks_are_named(kadencia, gateway):
    add(kadencia, gateway.url)
    make_task(kadencia)

    refused = kadencia("task", "set", "SMS", "--cadence", "1000")

    assert refused.code == 2
    assert "sends SMS, not e-mails" in refused.err
    assert "`kadencia task set-sms` changes it" in refused.err


def test_a_company_has_a_country_for_numbers_without_a_calling_code(kadencia):
    kadencia.done("company", "set", "Ruža", "--country", "cz")

    assert kadencia.done("company", "show", "--json").json["country"] == "CZ"
    assert "two letters of ISO 3166-1" in kadencia("company", "set", "Ruža", "--country", "xx").err


@contextmanager
def pushing(kadencia, *arguments):
    """`kadencia eurosms push` as a process; where it listens."""
    command = [sys.executable, "-m", "worker", "eurosms", "push", *arguments]
    with subprocess.Popen(
        processes.command(command, signal.SIGTERM, None),
        env=kadencia.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield json.loads(process.stdout.readline())["listening"]
        finally:
            process.terminate()
            assert process.wait(timeout=20) == 0


def test_a_report_that_is_pushed_to_the_path_is_confirmed(kadencia, gateway):
    add(kadencia, gateway.url)
    path = kadencia.done("eurosms", "push-path", "brána").out.strip()
    report = {"sms_uuid": "60c525e2-b28a-4e92-9a0f-58dacfa23a86", "delivery_result": "DELIVRD"}

    with pushing(kadencia, "--listen", "127.0.0.1:0") as there, requests.Session() as session:
        session.trust_env = False
        taken = session.get(f"http://{there}{path}", params=report, timeout=10)
        other = session.get(f"http://{there}{path}x", params=report, timeout=10)

    assert (taken.status_code, taken.text) == (200, f"ok|{report['sms_uuid']}")
    assert other.status_code == 404


@pytest.mark.parametrize("listen", ["8096", "127.0.0.1:port", "127.0.0.1:70000"])
def test_a_place_to_listen_that_is_none_is_refused(kadencia, listen):
    ended = kadencia("eurosms", "push", "--listen", listen)

    assert (ended.code, "is no host and port" in ended.err) == (2, True)


def test_a_place_that_is_taken_is_said_so(kadencia):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = kadencia("eurosms", "push", "--listen", listen)

    assert (ended.code, f"cannot listen on {listen}" in ended.err) == (1, True)
