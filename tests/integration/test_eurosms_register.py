"""Accounts at EuroSMS: the rules they are kept to, and what a change does."""

import hashlib
from decimal import Decimal

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from settings import load
from tests.support import rows
from tests.support.shared_database import rolled_back, shared_engine
from worker.core.content import ContentError
from worker.eurosms import BASE_URL
from worker.eurosms_accounts import PUSH_PATH, eurosms_settings
from worker.registers import RegisterError, accounts, companies, eurosms
from worker.registers.eurosms_rules import RANGES
from worker.registers.naming import find_company
from worker.vault import Vault

KEY = "Gh-s7-J6"
ACCOUNT = {"name": "brána", "integration_id": "2-A2gHjk", "key": KEY}
OLD = Fernet.generate_key().decode()
VAULT = Vault([OLD])


@pytest.fixture(scope="module")
def shared(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def connection(shared):
    with rolled_back(shared, who="anna") as opened:
        yield opened


@pytest.fixture
def company(connection):
    companies.add_company(connection, "Kvetinárstvo Ruža", "ruza.example")
    owner = find_company(connection, None)
    relay = {"name": "relay", "host": "smtp.ruza.example", "security": "tls"}
    accounts.add_account(connection, owner, VAULT, relay)
    return owner


@pytest.fixture
def account(connection, company):
    eurosms.add_account(connection, company, VAULT, ACCOUNT)
    return eurosms.find_eurosms(connection, company, "brána")


def again(connection, company, name="brána"):
    return eurosms.find_eurosms(connection, company, name)


def log_of(connection, account):
    query = "SELECT action, before::text, after::text FROM audit_log WHERE subject = :subject"
    return connection.execute(text(query), {"subject": f"eurosms:{account.id}"}).all()


def test_an_account_is_sealed_logged_without_its_key_and_asked_for_reports(
    connection, company, account
):
    assert (account.base_url, account.digest, account.most_connections) == (BASE_URL, "sha1", 4)
    assert KEY.encode() not in bytes(account.key)
    logged = log_of(connection, account)
    assert {entry.action for entry in logged} == {"create", "limit"}
    assert '"key": "sealed"' in str(logged)
    assert KEY not in str(logged)
    poll = "SELECT base_url, integration_id FROM eurosms_poll"
    assert connection.execute(text(poll)).one() == (BASE_URL, "2-A2gHjk")


def test_the_client_gets_the_accounts_own_time_outs_and_not_those_for_smtp(
    connection, company, account
):
    values = {"connect_timeout": 3.0, "answer_timeout": 7.0, "verify": False, "ca_file": "/ca.pem"}
    eurosms.set_account(connection, account, VAULT, values)

    settings = eurosms_settings(again(connection, company), VAULT)

    assert (settings.connect_timeout, settings.answer_timeout) == (3.0, 7.0)
    assert (settings.verify, settings.ca_file) == (False, "/ca.pem")
    assert (settings.name, settings.integration_id, settings.key) == ("brána", "2-A2gHjk", KEY)


WRONG = [
    pytest.param({"integration_id": "12345"}, "it looks like 1-Ab12cD", id="no integration ID"),
    pytest.param({"integration_id": "1-Ab12c_"}, "no integration ID", id="a sign too strange"),
    pytest.param({"key": "  "}, "key is empty", id="no key"),
    pytest.param({"key": "abc "}, "blank at an end", id="a key with a blank"),
    pytest.param({"base_url": "http://as.eurosms.com"}, "in the clear", id="without encryption"),
    pytest.param({"base_url": "https://as.eurosms.com/api"}, "host alone", id="a path"),
    pytest.param({"base_url": "as.eurosms.com"}, "no base URL", id="no scheme"),
    pytest.param({"base_url": "https://a:b@c.example"}, "no base URL", id="credentials"),
    pytest.param({"base_url": "https://a.example:port"}, "no base URL", id="a port that is none"),
    pytest.param({"digest": "md5"}, "sha1, sha256", id="an unheard-of digest"),
    pytest.param({"time_zone": "Mars"}, "no time zone", id="no time zone"),
    pytest.param({"connect_timeout": 0}, "0.1 to 60 seconds", id="no time to connect"),
    pytest.param({"answer_timeout": 201}, "0.1 to 200 seconds", id="too long for an answer"),
    pytest.param({"poll_seconds": 0.5}, "1 to 3,600 seconds", id="polls too often"),
    pytest.param({"most_connections": 0}, "requests at once", id="no request at once"),
    pytest.param({"hourly_limit": 0}, "segments", id="a limit of nothing"),
    pytest.param({"price": Decimal("-0.01")}, "price is -0.01", id="a price below nothing"),
    pytest.param({"ca_file": "ca.pem"}, "no full path", id="a CA file that depends on where"),
    pytest.param({"push_from": ["10.0.0.1/8"]}, "host bits set", id="no network"),
    pytest.param({"name": ""}, "is blank", id="no name"),
    pytest.param({"name": "relay"}, "SMTP account 'relay' exists", id="an SMTP account's name"),
]


def test_the_longest_time_outs_end_a_hand_over_before_its_permit_ages():
    longest = sum(2 * RANGES[name][1] for name in ("connect_timeout", "answer_timeout"))

    assert load({}).dot_by_seconds + longest < load({}).handover_max_seconds


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_an_account_that_breaks_a_rule_is_not_made(connection, company, wrong, words):
    with pytest.raises(RegisterError, match=words):
        eurosms.add_account(connection, company, VAULT, ACCOUNT | wrong)

    assert eurosms.list_accounts(connection, company.id) == []


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_nor_is_an_account_changed_so_that_it_breaks_one(
    connection, company, account, wrong, words
):
    with pytest.raises(RegisterError, match=words):
        eurosms.set_account(connection, account, VAULT, wrong)

    assert again(connection, company) == account


def test_a_key_with_a_control_character_is_refused_without_repeating_it(connection, company):
    with pytest.raises(ContentError) as caught:
        eurosms.add_account(connection, company, VAULT, ACCOUNT | {"key": "secret\x00key"})

    assert "secret" not in str(caught.value)


def test_an_emulator_on_this_host_needs_no_encryption(connection, company):
    place = {"base_url": "http://127.0.0.1:8095/"}
    eurosms.add_account(connection, company, VAULT, ACCOUNT | place)

    assert again(connection, company).base_url == "http://127.0.0.1:8095"


def test_accounts_of_the_two_kinds_are_listed_and_found_apart(connection, company, account):
    listed = eurosms.list_accounts(connection, company.id)

    assert [row["name"] for row in listed] == ["brána"]
    assert not {"key", "push_secret"} & listed[0].keys()
    assert [row["name"] for row in accounts.accounts(connection, company.id)] == ["relay"]
    with pytest.raises(RegisterError, match="'relay' is an SMTP account, not an account at Euro"):
        eurosms.find_eurosms(connection, company, "relay")
    with pytest.raises(RegisterError, match="'brána' is an account at EuroSMS, not an SMTP acc"):
        accounts.disable_account(connection, company, "brána")
    with pytest.raises(RegisterError, match="no account at EuroSMS 'x'; known: brána"):
        eurosms.set_enabled(connection, company, "x", False)


def test_a_change_is_logged_closes_the_breaker_and_wakes_the_tasks(connection, company, account):
    rows.make_sms_task(connection, company.id, account.id)
    connection.execute(
        text("UPDATE account SET breaker_failures = 3, breaker_until = now() + '1h'")
    )
    connection.execute(text("UPDATE automatic_task SET next_run_at = now() + interval '1 h'"))

    changed = eurosms.set_account(connection, account, VAULT, {"price": Decimal("0.045")})

    assert changed == {"price": Decimal("0.045")}
    assert again(connection, company).breaker_until is None
    due = text("SELECT next_run_at <= clock_timestamp() FROM automatic_task")
    assert connection.execute(due).scalar_one() is True
    assert ("change", '{"price": null}', '{"price": "0.045"}') in log_of(connection, account)


def test_another_integration_has_reports_and_a_balance_of_its_own(connection, company, account):
    eurosms.note_balance(connection, account.id, Decimal("80.693"))
    assert again(connection, company).balance == Decimal("80.693")

    eurosms.set_account(connection, account, VAULT, {"integration_id": "1-Bbbbbb"})

    assert again(connection, company).balance is None
    polls = connection.execute(text("SELECT integration_id FROM eurosms_poll")).scalars()
    assert set(polls) == {"2-A2gHjk", "1-Bbbbbb"}


@pytest.mark.parametrize(
    ("state", "outcome"), [("sent", "accepted"), ("unknown", "unknown"), ("sending", "open")]
)
def test_an_integration_stays_while_its_reports_are_awaited(
    connection, company, account, state, outcome
):
    task = rows.make_sms_task(connection, company.id, account.id)
    made = rows.make_sms(connection, task, state=state)
    if state != "sending":
        rows.make_attempt(connection, task, made.id, state=outcome)

    with pytest.raises(RegisterError, match="1 SMS of 'brána' are still to come"):
        eurosms.set_account(connection, account, VAULT, {"integration_id": "1-Bbbbbb"})
    same = {"integration_id": account.integration_id, "answer_timeout": 20.0}

    assert eurosms.set_account(connection, account, VAULT, same) == {"answer_timeout": 20.0}


def test_a_price_stays_while_a_budget_is_kept_by_it(connection, company, account):
    eurosms.set_account(connection, account, VAULT, {"price": Decimal("0.05")})
    task = rows.make_sms_task(connection, company.id, account.id, name="SMS", budget_day=5)

    with pytest.raises(RegisterError, match="the budget of SMS cannot be kept"):
        eurosms.set_account(connection, account, VAULT, {"price": None})

    seen = "INSERT INTO eurosms_price VALUES (:id, '+421', '231.1', 0.031, now())"
    connection.execute(text(seen), {"id": task.account_id})
    assert eurosms.set_account(connection, account, VAULT, {"price": None}) == {"price": None}


def test_a_disabled_account_is_enabled_with_its_breaker_closed(connection, company, account):
    assert eurosms.set_enabled(connection, company, "brána", False) is True
    assert eurosms.set_enabled(connection, company, "brána", False) is False
    connection.execute(text("UPDATE account SET breaker_failures = 3"))

    assert eurosms.set_enabled(connection, company, "brána", True) is True

    row = again(connection, company)
    assert (row.enabled, row.breaker_failures) == (True, 0)


def test_of_the_path_for_pushed_reports_only_a_digest_is_kept(connection, company, account):
    path = eurosms.push_path(connection, account)

    secret = path.removeprefix(PUSH_PATH).encode()
    assert len(secret) >= 43
    assert again(connection, company).push_secret == hashlib.sha256(secret).digest()
    assert secret.decode() not in str(log_of(connection, account))
    assert eurosms.push_path(connection, account) != path
    assert eurosms.end_push(connection, account) is True
    assert again(connection, company).push_secret is None


def test_networks_that_may_push_are_set_and_lifted(connection, company, account):
    eurosms.set_account(connection, account, VAULT, {"push_from": ["192.0.2.7", "2001:db8::/32"]})
    assert again(connection, company).push_from == ["192.0.2.7/32", "2001:db8::/32"]

    eurosms.set_account(connection, account, VAULT, {"push_from": []})
    assert again(connection, company).push_from is None


def test_what_is_shown_tells_prices_polls_and_tasks(connection, company, account):
    rows.make_sms_task(connection, company.id, account.id, name="SMS")
    seen = "INSERT INTO eurosms_price VALUES (:id, '+421', '231.1', 0.031, now())"
    connection.execute(text(seen), {"id": account.id})
    connection.execute(text("UPDATE eurosms_poll SET failures = 2, why = 'HTTP 502'"))

    shown = eurosms.shown_account(connection, again(connection, company))

    assert shown["observed_prices"] == ["+421 231.1: 0.0310 EUR"]
    assert (shown["poll_failures"], shown["poll_failed_because"]) == (2, "HTTP 502")
    assert (shown["tasks"], shown["pushed"]) == (["SMS"], False)
    assert "key" not in shown


def test_rotated_keys_cover_integration_keys(connection, company, account):
    new = Fernet.generate_key().decode()

    assert accounts.reseal_all(connection, Vault([new, OLD])) == 1

    assert eurosms_settings(again(connection, company), Vault([new])).key == KEY
