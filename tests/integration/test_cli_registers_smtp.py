"""SMTP accounts on the command line: credentials, real log-ins, test mails, keys."""

import os
import pty
import select
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from tests.support.command_line import CommandLine
from tests.support.shared_database import shared_engine
from tests.support.sink import SinkProcess

PASSWORD = "veľmi-tajné-heslo"


@pytest.fixture
def keys(tmp_path):
    file = tmp_path / "keys"
    file.write_text(Fernet.generate_key().decode())
    return file


@pytest.fixture
def kadencia(database_url, tmp_path, keys):
    command = CommandLine(tmp_path, DATABASE_URL=database_url)
    command.done("company", "add", "Ruža", "--domain", "ruza.example")
    return command


@pytest.fixture(scope="module")
def unchanged(services, tmp_path_factory):
    """For accounts that are refused: one database for all of them."""
    with shared_engine(services) as engine:
        url = engine.url.render_as_string(hide_password=False)
        command = CommandLine(tmp_path_factory.mktemp("unchanged"), DATABASE_URL=url)
        command.done("company", "add", "Ruža", "--domain", "ruza.example")
        yield command


@pytest.fixture(scope="module")
def sink(tmp_path_factory):
    file = tmp_path_factory.mktemp("sink") / "heslo"
    file.write_text(PASSWORD)
    with SinkProcess("--user", "posta", "--password-file", str(file)) as running:
        yield running


def add(kadencia, port, password=PASSWORD):
    place = ["--host", "127.0.0.1", "--port", str(port), "--security", "none"]
    log_in = ["--username", "posta", "--password-file", "-"]
    return kadencia.done("smtp", "add", "relay", *place, *log_in, stdin=password + "\n")


def test_a_password_is_never_shown_and_lies_sealed(kadencia, engine, sink):
    added = add(kadencia, sink.port)
    shown = kadencia.done("smtp", "show", "relay")
    listed = kadencia.done("smtp", "list", "--json")

    for ended in (added, shown, listed):
        assert PASSWORD not in ended.out + ended.err
    with engine.connect() as connection:
        stored = bytes(connection.execute(text("SELECT password FROM account")).scalar_one())
        log = connection.execute(text("SELECT string_agg(after::text, ' ') FROM audit_log"))
        assert PASSWORD.encode() not in stored
        logged = log.scalar_one()
    assert '"password": "sealed"' in logged
    assert PASSWORD not in logged


def test_a_right_log_in_and_a_test_mail_are_said_to_work(kadencia, sink):
    add(kadencia, sink.port)

    assert "lets us in, as posta" in kadencia.done("smtp", "test", "relay").out

    mail = ["--to", "anna@firma.example", "--from", "info@ruza.example"]
    sent = kadencia.done("smtp", "test", "relay", *mail)
    assert "a test mail to anna@firma.example was accepted: 250" in sent.out
    assert b"To: anna@firma.example" in sink.mails()[-1]
    assert b"From: =?utf-8?" in sink.mails()[-1]


def test_a_wrong_password_is_the_servers_words_and_never_ours(kadencia, sink):
    add(kadencia, sink.port, "nesprávne-heslo")

    ended = kadencia("smtp", "test", "relay")

    assert ended.code == 1
    assert "535" in ended.err
    assert "nesprávne-heslo" not in ended.out + ended.err
    kadencia.done("smtp", "set", "relay", "--password-file", "-", stdin=PASSWORD)
    assert kadencia("smtp", "test", "relay").code == 0


def test_a_server_that_is_away_is_code_3(kadencia):
    add(kadencia, 1)

    ended = kadencia("smtp", "test", "relay")

    assert ended.code == 3
    assert "Connection refused" in ended.err


def test_a_test_mail_obeys_the_safety_mode_and_stop_all(kadencia, sink):
    add(kadencia, sink.port)
    mail = ["smtp", "test", "relay", "--to", "anna@firma.example", "--from", "info@ruza.example"]
    before = len(sink.mails())

    kadencia.done("safety", "allow", "@ina.example")
    refused = kadencia(*mail)
    assert (refused.code, len(sink.mails())) == (2, before)
    assert "lets no mail through to 'anna@firma.example'" in refused.err

    kadencia.done("stop-all")
    assert "sending is stopped" in kadencia(*mail).err
    kadencia.done("start-all")

    kadencia.done("safety", "redirect", "skuska@ruza.example")
    kadencia.done(*mail)
    assert b"To: skuska@ruza.example" in sink.mails()[-1]
    assert b"X-Kadencia-Redirected-From: anna@firma.example" in sink.mails()[-1]


def test_a_test_mail_without_a_sender_asks_for_one(kadencia, sink):
    add(kadencia, sink.port)

    assert "give one with --from" in kadencia("smtp", "test", "relay", "--to", "a@b.example").err


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        pytest.param(["--username", "u"], "", "without a terminal", id="nobody to ask"),
        pytest.param(["--username", "u", "--password-file", "-"], "", "is empty", id="empty"),
        pytest.param(
            ["--username", "u", "--password-file", "/nowhere"], "", "cannot be read", id="no file"
        ),
        pytest.param(["--password-file", "-"], "x", "no user name", id="nobody's password"),
        pytest.param(["--port", "70000"], "", "1 to 65,535", id="no port"),
        pytest.param(["--security", "ssl"], "", "--security", id="no security"),
        pytest.param(["--hourly-limit", "0"], "", "hourly limit is 0", id="a limit of nothing"),
    ],
)
def test_a_wrong_account_is_refused_and_not_made(unchanged, arguments, stdin, words):
    ended = unchanged("smtp", "add", "x", "--host", "smtp.example", *arguments, stdin=stdin)

    assert ended.code == 2
    assert words in ended.err
    assert unchanged.done("smtp", "list", "--json").json == []


def test_without_a_key_no_password_is_taken(kadencia, keys):
    keys.unlink()
    log_in = ["--username", "u", "--password-file", "-"]

    ended = kadencia("smtp", "add", "x", "--host", "smtp.example", *log_in, stdin="heslo")

    assert ended.code == 2
    assert "kadencia keys new" in ended.err


def test_an_account_is_changed_disabled_and_enabled(kadencia, sink):
    add(kadencia, sink.port)

    kadencia.done("smtp", "set", "relay", "--hourly-limit", "500", "--name", "hlavný")
    kadencia.done("smtp", "set", "hlavný", "--hourly-limit", "0", "--helo-name", "a.example")
    kadencia.done("smtp", "disable", "hlavný")
    shown = kadencia.done("smtp", "show", "hlavný", "--json").json
    assert (shown["hourly_limit"], shown["helo_name"], shown["enabled"]) == (
        None,
        "a.example",
        False,
    )
    assert "is enabled now" in kadencia.done("smtp", "enable", "hlavný").out
    kadencia.done("smtp", "set", "hlavný", "--no-log-in")
    assert kadencia.done("smtp", "show", "hlavný", "--json").json["username"] is None


def test_credentials_in_the_clear_and_an_unchecked_certificate_are_remarked_on(kadencia):
    host = ["--host", "smtp.ruza.example"]
    clear = kadencia.done("smtp", "add", "a", *host, "--security", "none")
    unchecked = kadencia.done("smtp", "add", "b", *host, "--no-verify")

    assert "in the clear" in clear.err
    assert "certificate is not checked" in unchecked.err


def test_rotated_keys_let_the_old_one_go(kadencia, keys, sink):
    add(kadencia, sink.port)
    old = keys.read_text().strip()

    assert "holds 2 keys now" in kadencia.done("keys", "new", "--file", str(keys)).out
    assert keys.read_text().split()[1] == old
    assert keys.stat().st_mode & 0o777 == 0o600
    assert "1 stored credential is sealed anew" in kadencia.done("keys", "rotate").out

    keys.write_text(keys.read_text().split()[0])
    assert kadencia("smtp", "test", "relay").code == 0


def test_a_credential_whose_key_is_gone_is_said_so_and_rotates_nothing(kadencia, keys, sink):
    add(kadencia, sink.port)
    keys.write_text(kadencia.done("keys", "new").out)

    for command in (["keys", "rotate"], ["smtp", "test", "relay"]):
        ended = kadencia(*command)
        assert ended.code == 2
        assert "a key that this process does not have" in ended.err


def test_a_file_that_holds_something_else_gets_no_key(kadencia, tmp_path):
    file = tmp_path / "notes"
    file.write_text("not a key")

    ended = kadencia("keys", "new", "--file", str(file))

    assert ended.code == 2
    assert file.read_text() == "not a key"


def test_a_person_types_the_password_unseen(kadencia, sink):
    terminal, side = pty.openpty()
    code = "from worker.cli import main; main()"
    place = ["--host", "127.0.0.1", "--port", str(sink.port), "--security", "none"]
    command = [sys.executable, "-c", code, "smtp", "add", "relay", *place, "--username", "posta"]
    with subprocess.Popen(
        command,
        env=kadencia.environ,
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
    ) as process:
        os.close(side)
        said = read_until(terminal, b"Password: ")
        os.write(terminal, PASSWORD.encode() + b"\n")
        said += read_until(terminal, b"is made")
        assert process.wait(timeout=30) == 0
    os.close(terminal)

    assert PASSWORD.encode() not in said
    assert kadencia("smtp", "test", "relay").code == 0


def read_until(terminal, words):
    said = b""
    while words not in said:
        assert select.select([terminal], [], [], 30)[0], said
        said += os.read(terminal, 1000)
    return said
