"""OAuth, mechanisms, certificates, reports and accounts to fall back to, on the command line."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from tests.support.command_line import CommandLine
from tests.support.shared_database import shared_engine
from tests.support.sink import SinkProcess
from tests.support.token_server import TokenServer, reply

MAILBOX = "posta@ruza.example"
SECRET = "veľmi-tajný-kľúč"
REFRESH = "obnovovací-žetón"
PLACE = ("--host", "127.0.0.1", "--security", "none")
OAUTH = ("--oauth-client-id", "kadencia", "--username", MAILBOX)


@pytest.fixture(scope="module")
def engine(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture(scope="module")
def kadencia(engine, tmp_path_factory):
    directory = tmp_path_factory.mktemp("office")
    (directory / "keys").write_text(Fernet.generate_key().decode())
    url = engine.url.render_as_string(hide_password=False)
    command = CommandLine(directory, DATABASE_URL=url)
    command.done("company", "add", "Ruža", "--domain", "ruza.example")
    command.done("user", "add", "Odosielanie", "--system")
    command.done("server", "add", "local")
    for name in ("hlavný", "prvý", "druhý"):
        command.done("smtp", "add", name, *PLACE)
    return command


@pytest.fixture
def files(tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "refresh").write_text(REFRESH + "\n")
    return tmp_path


@pytest.fixture(scope="module")
def server():
    with TokenServer() as running:
        yield running


def test_an_account_logs_in_by_access_tokens_and_shows_no_secret(kadencia, files, server, engine):
    (files / "taken").write_text("token-1")
    arguments = ("--user", MAILBOX, "--token-file", str(files / "taken"))
    with SinkProcess(*arguments, "--mechanisms", "XOAUTH2") as sink:
        place = (*PLACE, "--port", str(sink.port), "--oauth-token-url", server.url)
        added = kadencia.done(
            "smtp", "add", "m365", *place, *OAUTH, "--client-secret-file", "-", stdin=SECRET
        )
        tried = kadencia.done("smtp", "test", "m365")
    shown = kadencia.done("smtp", "show", "m365", "--json")

    assert f"lets us in, as {MAILBOX}, by an access token" in tried.out
    assert shown.json["oauth_token_url"] == server.url
    assert shown.json["oauth_grant_type"] == "client_credentials"
    assert MAILBOX in kadencia.done("smtp", "list").out
    with engine.connect() as connection:
        log = connection.execute(text("SELECT string_agg(after::text, ' ') FROM audit_log"))
        logged = log.scalar_one()
    assert '"client_secret": "sealed"' in logged
    for said in (added.out, added.err, tried.out, shown.out, logged):
        assert SECRET not in said
        assert "token-1" not in said


def test_a_refused_client_is_told_in_words_and_how_to_mend_it(kadencia, files, server):
    kadencia.done(
        *("smtp", "add", "refused", *PLACE, "--oauth-token-url", server.url, *OAUTH),
        *("--client-secret-file", str(files / "secret")),
    )
    server.instead = reply(401, {"error": "invalid_client"})

    ended = kadencia("smtp", "test", "refused")

    server.instead = None
    assert ended.code == 1
    assert "the client secret is wrong or expired" in ended.err
    assert "correct it with `kadencia smtp set`" in ended.err


def test_an_account_goes_from_password_to_tokens_and_back(kadencia, files, server, engine):
    password = ("--password-file", str(files / "secret"))
    kadencia.done("smtp", "add", "both", *PLACE, "--username", MAILBOX, *password)
    grant = ("--oauth-grant", "refresh_token", "--refresh-token-file", str(files / "refresh"))
    url = ("--oauth-token-url", server.url, "--oauth-client-id", "kadencia")

    changed = kadencia.done("smtp", "set", "both", *url, *grant)

    assert "username" in changed.out
    assert kadencia.done("smtp", "show", "both", "--json").json["oauth_username"] == MAILBOX
    moved = kadencia.done("smtp", "set", "both", "--username", "iny@ruza.example")
    assert moved.out == "changed: username\n"
    back = kadencia.done("smtp", "set", "both", "--no-oauth", "--username", MAILBOX, *password)
    assert "oauth" in back.out
    shown = kadencia.done("smtp", "show", "both", "--json").json
    assert shown["username"] == MAILBOX
    assert "oauth_token_url" not in shown


def test_options_are_set_shown_and_cleared(kadencia):
    given = ("--mechanism", "CRAM-MD5", "--dsn", "delay,failure", "--dsn-return", "headers")
    kadencia.done("smtp", "set", "prvý", *given)

    shown = kadencia.done("smtp", "show", "prvý", "--json").json
    assert shown["log_in"] == "cram-md5"
    assert shown["dsn"] == ["failure", "delay"]
    assert shown["dsn_return"] == "headers"

    kadencia.done("smtp", "set", "prvý", "--mechanism", "", "--dsn", "")
    assert not {"log_in", "dsn", "dsn_return"} & set(
        kadencia.done("smtp", "show", "prvý", "--json").json
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(
            ["--oauth-token-url", "http://login.example/token", "--client-secret-file", "-"],
            "must be asked over https",
            id="secrets in the clear",
        ),
        pytest.param(
            ["--oauth-token-url", "login.example", "--client-secret-file", "-"],
            "the address of the token server is none",
            id="no address",
        ),
        pytest.param(
            ["--oauth-token-url", "https://x:99999/", "--client-secret-file", "-"],
            "the address of the token server is none",
            id="no port",
        ),
        pytest.param(
            ["--oauth-token-url", "https://login.example/t", "--oauth-grant", "password"],
            "the grant is 'password'",
            id="a grant that is none",
        ),
        pytest.param(["--client-secret-file", "-"], "add --oauth-token-url", id="a lone secret"),
        pytest.param(
            ["--oauth-token-url", "https://x/", "--client-secret-file=-", "--refresh-token-file=-"],
            "only one secret can come from standard input",
            id="two secrets from one place",
        ),
        pytest.param(
            ["--oauth-token-url", "https://x/", "--password-file", "-"],
            "has no password",
            id="a password as well",
        ),
        pytest.param(
            ["--oauth-token-url", "https://x/", "--no-oauth"], "at once", id="set and ended"
        ),
        pytest.param(["--mechanism", "ntlm"], "it must be one of plain, login", id="mechanism"),
        pytest.param(["--mechanism", "xoauth2"], "needs OAuth", id="tokens without OAuth"),
        pytest.param(["--cert-file", "me.pem"], "is no full path", id="a path of nobody's"),
        pytest.param(["--key-file", "/me.key"], "no client certificate", id="a lone key"),
        pytest.param(["--cert-file", "/me.pem"], "is shown in TLS", id="a certificate, no TLS"),
        pytest.param(["--dsn", "never,failure"], "or of never alone", id="never and more"),
        pytest.param(["--dsn-return", "full"], "no report is asked for", id="a return of nothing"),
        pytest.param(
            ["--dsn", "failure", "--dsn-return", "all"],
            "can bring back",
            id="a return that is none",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(kadencia, options, words):
    log_in = ["--username", MAILBOX, "--oauth-client-id", "us"] if options[0][2] == "o" else []

    ended = kadencia("smtp", "set", "druhý", *options, *log_in, stdin=SECRET)

    assert ended.code == 2
    assert words in ended.err
    assert SECRET not in ended.err


def test_nothing_remains_of_a_change_that_is_refused(kadencia):
    before = kadencia.done("smtp", "show", "druhý", "--json").json

    refused = kadencia("smtp", "set", "druhý", "--port", "26", "--mechanism", "xoauth2")

    assert refused.code == 2
    assert kadencia.done("smtp", "show", "druhý", "--json").json == before


def test_a_token_in_the_clear_over_a_network_is_refused(kadencia, files):
    place = ("--host", "smtp.ruza.example", "--security", "none")
    url = ("--oauth-token-url", "https://login.example/token")

    ended = kadencia(
        *("smtp", "add", "clear", *place, *url, *OAUTH),
        *("--client-secret-file", str(files / "secret")),
    )

    assert ended.code == 2
    assert "must not go over a network in the clear" in ended.err
    assert "clear" not in [row["name"] for row in kadencia.done("smtp", "list", "--json").json]


def test_a_task_is_given_accounts_to_fall_back_to(kadencia):
    sender = ("--sender-name", "Ruža", "--sender-address", "info@ruza.example")
    kadencia.done(
        *("task", "create", "Pošta", "--server", "local", "--user", "Odosielanie"),
        *("--smtp", "hlavný", *sender, "--cadence", "1000"),
        *("--fallback", "prvý", "--fallback", "druhý"),
    )
    assert kadencia.done("task", "show", "Pošta", "--json").json["fallbacks"] == ["prvý", "druhý"]

    kadencia.done("smtp", "disable", "hlavný")
    shown = kadencia.done("task", "show", "Pošta")
    kadencia.done("smtp", "enable", "hlavný")

    assert "it goes through the SMTP account “prvý”, since “hlavný” is disabled" in shown.err
    assert "Pošta" in kadencia.done("smtp", "show", "prvý").out
    assert kadencia("task", "set", "Pošta", "--smtp", "prvý").code == 2
    assert kadencia("task", "set", "Pošta", "--no-fallback", "--fallback", "prvý").code == 2
    assert kadencia.done("task", "set", "Pošta", "--no-fallback").out == "changed: fallbacks\n"
