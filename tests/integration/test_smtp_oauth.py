"""Log-ins by access tokens: from a token server, over the database, to an SMTP server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text

from models.smtp import SmtpOauth
from tests.support import scripted_smtp as scripted
from tests.support.kernel import make_delivery, make_settings, make_throttle
from tests.support.mail import transport
from tests.support.office import Office, closed_port
from tests.support.rows import MadeTask, make_account, make_company
from tests.support.shared_database import shared_engine
from tests.support.sink import SinkProcess
from tests.support.token_server import TokenServer, drip, hang_up, reply
from worker import db
from worker.accounts.tokens import StoredTokens
from worker.core.sasl import xoauth2
from worker.errors import AuthenticationFailed, TransportUnavailable
from worker.registers.accounts import reseal_all
from worker.transports import token_server
from worker.vault import Vault, new_key

MAILBOX = "posta@firma.example"
VAULT = Vault([new_key()])
SECRET = "client-s3cret"


@pytest.fixture(scope="module")
def engine(services) -> Iterator[Engine]:
    services.flush_valkey()  # another database's tasks had the same numbers
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the tokens that the SMTP server takes."""
    return tmp_path_factory.mktemp("tokens") / "taken"


@pytest.fixture(scope="module")
def sink(taken: Path) -> Iterator[SinkProcess]:
    taken.write_text("")
    arguments = ("--user", MAILBOX, "--token-file", str(taken))
    with SinkProcess(*arguments, "--mechanisms", "XOAUTH2,OAUTHBEARER") as running:
        yield running


@pytest.fixture
def server(taken: Path) -> Iterator[TokenServer]:
    taken.write_text("token-1 token-2")
    with TokenServer() as running:
        yield running


@pytest.fixture
def office(engine, services, sink):
    throttle = make_throttle(engine, services.valkey_url(), make_settings())
    office = Office(engine, throttle, sink)
    office.delivery = make_delivery(engine, throttle, office.settings, VAULT)
    yield office
    office.delivery.close()


def with_oauth(engine: Engine, account: int, url: str, **columns: Any) -> int:
    """Give an account OAuth; its id."""
    values: dict[str, Any] = {
        "account_id": account,
        "username": MAILBOX,
        "token_url": url,
        "grant_type": "client_credentials",
        "client_id": "kadencia",
        "client_secret": VAULT.seal(SECRET),
        "scope": "https://mail.example/.default",
        **columns,
    }
    with engine.begin() as connection:
        connection.execute(insert(SmtpOauth).values(values))
    return account


def tokens_of(engine: Engine, url: str, vault: Vault = VAULT, **columns: Any) -> StoredTokens:
    """The tokens of a new account."""
    with engine.begin() as connection:
        account = make_account(connection, make_company(connection))
    with_oauth(engine, account, url, **columns)
    return StoredTokens(engine, vault, account, "relay", MAILBOX)


def of_refresh(token: str = "refresh-0") -> dict[str, Any]:
    return {"grant_type": "refresh_token", "refresh_token": VAULT.seal(token)}


def stored(engine: Engine, tokens: StoredTokens) -> Any:
    with engine.connect() as connection:
        query = text("SELECT * FROM smtp_oauth WHERE account_id = :id")
        return connection.execute(query, {"id": tokens._account_id}).one()


def alter(engine: Engine, tokens: StoredTokens, change: str) -> None:
    with engine.begin() as connection:
        query = text(f"UPDATE smtp_oauth SET {change} WHERE account_id = :id")
        connection.execute(query, {"id": tokens._account_id})


def task_with_oauth(office: Office, url: str) -> MadeTask:
    task = office.task()
    with_oauth(office.engine, task.account_id, url)
    return task


def test_a_message_goes_out_under_an_access_token(office, server):
    task = task_with_oauth(office, server.url)

    first = office.released(task)
    assert office.send(first).state == "sent"
    assert office.send(office.released(task)).state == "sent"

    [entry] = office.arrived(first)
    assert entry["user"] == MAILBOX
    assert server.asked == [
        {
            "grant_type": "client_credentials",
            "client_id": "kadencia",
            "client_secret": SECRET,
            "scope": "https://mail.example/.default",
        }
    ]


def test_a_token_server_that_is_away_costs_no_attempt_and_the_account_is_left_alone(office):
    with closed_port() as port:
        task = task_with_oauth(office, f"http://127.0.0.1:{port}/token")
        made = office.released(task)

        row = office.send(made)

    assert (row.state, row.attempts) == ("ready", 0)
    assert office.attempts(made) == []
    account = office.account(task)
    assert account.breaker_failures == 1
    assert "auth: the token server 127.0.0.1: it cannot be reached" in account.breaker_why


def test_a_wrong_client_secret_is_told_in_words_and_never_shown(office, server):
    told = {"error": "invalid_client", "error_description": f"AADSTS7000215: {SECRET} is wrong"}
    server.instead = reply(401, told)
    task = task_with_oauth(office, server.url)

    row = office.send(office.released(task))

    assert "the client secret is wrong or expired (AADSTS7000215: *** is wrong)" in row.why
    assert SECRET not in row.why + office.account(task).breaker_why


def test_a_token_server_that_asks_us_to_wait_is_not_asked_before(office, server):
    server.instead = reply(429, {"error": "slow_down"}, Retry_After="90")
    task = task_with_oauth(office, server.url)

    office.send(office.released(task))
    assert office.send(office.released(task)).why == "its SMTP account refuses us"

    left = office.account(task).breaker_until - datetime.now(UTC)
    assert left.total_seconds() == pytest.approx(90, abs=5)
    assert len(server.asked) == 1


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
def test_both_mechanisms_bring_a_token_over_however_long(sink, engine, server, taken, mechanism):
    server.instead = reply(200, {"access_token": "x" * 3000})
    taken.write_text("x" * 3000)
    tokens = tokens_of(engine, server.url)
    way_out = transport(sink.port, log_in=mechanism, tokens=tokens)

    way_out.ready()
    way_out.close()


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
def test_a_refused_token_is_replaced_by_a_fresh_one_once(sink, engine, server, taken, mechanism):
    tokens = tokens_of(engine, server.url)
    tokens.token()
    alter(engine, tokens, "obtained_at = obtained_at - interval '5 min'")
    taken.write_text("token-2")

    way_out = transport(sink.port, log_in=mechanism, tokens=tokens)
    way_out.ready()
    way_out.close()

    assert len(server.asked) == 2


def test_a_fresh_token_that_is_refused_is_not_replaced_for_ever(sink, engine, server, taken):
    taken.write_text("another")
    tokens = tokens_of(engine, server.url)

    for _ in range(3):
        with pytest.raises(
            AuthenticationFailed, match=r"status 401.*the token was fresh"
        ) as failed:
            transport(sink.port, tokens=tokens).ready()
        assert "token-1" not in str(failed.value)

    assert len(server.asked) == 1


def test_a_server_that_repeats_the_token_it_refuses_does_not_spread_it(engine, server):
    tokens = tokens_of(engine, server.url)
    sent = xoauth2(MAILBOX, "token-1")
    script = [
        scripted.say(b"220 hi\r\n"),
        scripted.answer(b"250-hi\r\n250 AUTH XOAUTH2\r\n"),
        scripted.answer(f"535 5.7.3 token-1 and {sent}\r\n".encode()),
    ]

    with scripted.ScriptedServer(script) as strict, pytest.raises(AuthenticationFailed) as failed:
        transport(strict.port, tokens=tokens).ready()

    assert failed.value.reason == "auth: 535 5.7.3 *** and ***; the token was fresh"


def test_many_that_need_a_token_at_once_ask_for_one(engine, server):
    first = tokens_of(engine, server.url, **of_refresh())
    server.rotates = True
    others = [StoredTokens(engine, VAULT, first._account_id, "relay", MAILBOX) for _ in range(8)]

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda one: one.token(), others))

    assert found == {"token-1"}
    assert len(server.asked) == 1


def test_a_refresh_token_that_comes_back_is_kept_and_used_next(engine, server):
    tokens = tokens_of(engine, server.url, **of_refresh())
    server.rotates = True

    tokens.token()
    alter(engine, tokens, "renew_at = now(), expires_at = now()")
    assert tokens.token() == "token-2"

    assert [form["refresh_token"] for form in server.asked] == ["refresh-0", "refresh-1"]
    sealed = stored(engine, tokens).refresh_token
    assert VAULT.open(bytes(sealed)) == "refresh-2"
    assert b"refresh" not in bytes(sealed)


def test_a_refresh_token_is_not_lost_with_the_connection_to_the_database(engine, server):
    tokens = tokens_of(engine, server.url, **of_refresh())
    server.rotates = True

    def cut_the_line(request, form):
        with engine.connect() as connection:
            connection.execute(
                text("""
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()""")
            )
        server.instead, server.refresh = None, "refresh-1"
        granted = {"access_token": "token-1", "refresh_token": "refresh-1"}
        reply(200, granted)(request, form)

    server.instead = cut_the_line
    with pytest.raises(TransportUnavailable, match="the database is away"):
        tokens.token()
    engine.dispose()

    assert tokens.token() == "token-2"

    assert [form["refresh_token"] for form in server.asked] == ["refresh-0", "refresh-1"]


def test_a_token_is_renewed_some_minutes_before_its_end(engine, server):
    tokens = tokens_of(engine, server.url)
    tokens.token()
    row = stored(engine, tokens)
    assert (row.expires_at - row.renew_at).total_seconds() == pytest.approx(300, abs=1)

    alter(engine, tokens, "renew_at = now()")

    assert tokens.token() == "token-2"


def test_a_good_token_serves_while_its_server_is_away(engine, server):
    tokens = tokens_of(engine, server.url)
    tokens.token()
    alter(engine, tokens, "renew_at = now()")
    server.instead = reply(503, "<h1>down</h1>")

    assert [tokens.token(), tokens.token()] == ["token-1", "token-1"]

    assert len(server.asked) == 2  # and is not asked again at each connection


def test_nobody_waits_for_another_process_while_the_token_is_good(engine, server):
    tokens = tokens_of(engine, server.url)
    tokens.token()
    alter(engine, tokens, "renew_at = now()")
    asked, go_on = threading.Event(), threading.Event()
    grant = reply(200, {"access_token": "token-2", "expires_in": 3600})

    def slowly(request, form):
        asked.set()
        go_on.wait(10)
        grant(request, form)

    server.instead = slowly
    other = StoredTokens(engine, VAULT, tokens._account_id, "relay", MAILBOX)
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(other.token)
        asked.wait(10)

        assert tokens.token() == "token-1"

        go_on.set()
        assert renewing.result(10) == "token-2"


@pytest.mark.parametrize(
    ("instead", "kind", "words"),
    [
        pytest.param(
            reply(400, {"error": "invalid_grant"}),
            AuthenticationFailed,
            "invalid_grant: the refresh token has expired or was revoked",
            id="a refusal for good",
        ),
        pytest.param(
            reply(429, {"error": "slow_down"}, Retry_After="30"),
            TransportUnavailable,
            r"it answered 429 and gave no token \(asked us to wait 30 s\)",
            id="too many questions",
        ),
        pytest.param(
            reply(200, "<html>Sign in</html>"),
            TransportUnavailable,
            "it answered 200 with text/html in place of JSON; is its address right",
            id="a page for people",
        ),
        pytest.param(
            reply(302, "", Location="https://elsewhere.example/"),
            TransportUnavailable,
            "it answered 302 with text/html",
            id="a redirect, which would take the secret along",
        ),
        pytest.param(
            reply(200, {"access_token": "x" * 100_000}),
            TransportUnavailable,
            "its answer is longer than 65,536 octets",
            id="a huge answer",
        ),
        pytest.param(hang_up, TransportUnavailable, "no whole answer came", id="no answer"),
    ],
)
def test_what_a_token_server_says_instead_is_told_in_words(engine, server, instead, kind, words):
    tokens = tokens_of(engine, server.url)
    server.instead = instead

    with pytest.raises(TransportUnavailable, match=words) as failed:
        tokens.token()

    assert type(failed.value) is kind
    assert failed.value.reason.startswith("auth: the token server 127.0.0.1: ")
    assert len(server.asked) == 1


def test_an_answer_that_drips_is_cut_off(engine, server, monkeypatch):
    monkeypatch.setattr(token_server, "ANSWER_SECONDS", 0.3)
    tokens = tokens_of(engine, server.url)
    server.instead = drip(server.stopping)

    with pytest.raises(TransportUnavailable, match=r"no whole answer came within 0\.3 s"):
        tokens.token()


def test_a_secret_whose_key_is_not_at_hand_is_said_so(engine, server):
    tokens = tokens_of(engine, server.url, vault=Vault([new_key()]))

    with pytest.raises(TransportUnavailable, match="sealed with a key that this process"):
        tokens.token()

    assert server.asked == []


def test_an_account_without_oauth_meanwhile_is_said_so(engine, server):
    tokens = tokens_of(engine, server.url)
    with engine.begin() as connection:
        query = text("DELETE FROM smtp_oauth WHERE account_id = :id")
        connection.execute(query, {"id": tokens._account_id})

    with pytest.raises(AuthenticationFailed, match="has no OAuth any more"):
        tokens.token()


def test_a_database_that_is_away_is_no_fault_of_the_program(engine, server):
    with closed_port() as port:
        away = engine.url.set(port=port)
        broken = db.make_engine(away.render_as_string(hide_password=False), name="tests")
        tokens = StoredTokens(broken, VAULT, 1, "relay", MAILBOX)

        with pytest.raises(TransportUnavailable, match="the database is away"):
            tokens.token()
        broken.dispose()


def test_secrets_and_tokens_are_sealed_anew_with_a_new_key(engine, server):
    old, new = new_key(), new_key()
    tokens = tokens_of(
        engine,
        server.url,
        vault=Vault([old]),
        client_secret=Vault([old]).seal(SECRET),
        grant_type="refresh_token",
        refresh_token=Vault([old]).seal("refresh-0"),
    )
    tokens.token()

    with engine.connect() as connection:
        connection.execute(
            text("DELETE FROM smtp_oauth WHERE account_id <> :id"), {"id": tokens._account_id}
        )
        reseal_all(connection, Vault([new, old]))
        query = text("SELECT * FROM smtp_oauth WHERE account_id = :id")
        row = connection.execute(query, {"id": tokens._account_id}).one()
        connection.rollback()

    opened = [
        Vault([new]).open(bytes(sealed))
        for sealed in (row.client_secret, row.refresh_token, row.access_token)
    ]
    assert opened == [SECRET, "refresh-0", "token-1"]
