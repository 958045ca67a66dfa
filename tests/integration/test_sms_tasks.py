"""Automatic tasks that send SMS: their rules, their budgets, and what a change does."""

from datetime import timedelta
from decimal import Decimal

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from tests.support import rows
from tests.support.shared_database import rolled_back, shared_engine
from worker.core.content import ContentError
from worker.registers import (
    RegisterError,
    accounts,
    companies,
    eurosms,
    servers,
    sms_tasks,
    task_views,
    tasks,
    users,
)
from worker.registers.naming import find_company
from worker.registers.tasks import find_task
from worker.vault import Vault

TASK = {
    "name": "SMS",
    "server": "main",
    "user": "Robot",
    "eurosms": "brána",
    "sender": "Ruza",
    "cadence": 600,
    "active": True,
}
SPANS = (timedelta(hours=1), timedelta(minutes=11))
VAULT = Vault([Fernet.generate_key().decode()])


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
    companies.add_establishment(connection, owner, "Košice")
    users.add_user(connection, owner, "Robot", "system")
    users.add_user(connection, owner, "Jana", "standard", administrator=True)
    servers.add_server(connection, "main")
    relay = {"name": "relay", "host": "smtp.ruza.example", "security": "tls"}
    accounts.add_account(connection, owner, VAULT, relay)
    gateway = {"name": "brána", "integration_id": "2-A2gHjk", "key": "Gh-s7-J6"}
    priced = {"name": "s cenou", "price": Decimal("0.05")}
    for more in ({}, priced, {"name": "off"}):
        eurosms.add_account(connection, owner, VAULT, gateway | more)
    eurosms.set_enabled(connection, owner, "off", False)
    return owner


@pytest.fixture
def task(connection, company):
    sms_tasks.create_sms_task(connection, company, TASK)
    return find_task(connection, company, "SMS")


def own(connection, task):
    return sms_tasks.sms_settings(connection, task.id)


def is_due(connection, task):
    query = "SELECT next_run_at <= clock_timestamp() FROM automatic_task WHERE id = :id"
    return connection.execute(text(query), {"id": task.id}).scalar_one()


def change(connection, task, column, value):
    table = "sms_task" if column == "exhausted_until" else "automatic_task"
    key = "task_id" if table == "sms_task" else "id"
    connection.execute(text(f"UPDATE {table} SET {column} = {value} WHERE {key} = {task.id}"))


def test_a_task_is_made_with_the_defaults_of_sms(connection, company, task):
    assert (task.channel, task.sender_name, task.unknown_policy) == ("sms", None, "hold")
    settings = own(connection, task)
    assert (settings.sender, settings.diacritics, settings.long_texts) == ("Ruza", True, True)
    assert (settings.validity_seconds, settings.unknown_hours) == (172_800, 24)
    assert is_due(connection, task)
    log = "SELECT after FROM audit_log WHERE subject = :s AND action = 'create' ORDER BY id"
    made = connection.execute(text(log), {"s": f"task:{task.id}"}).scalars().all()
    assert (made[0]["channel"], made[1]["sender"]) == ("sms", "Ruza")


WRONG = [
    pytest.param({"cadence": 9}, "9 is below 10; give 10 to 3,000 segments", id="cadence 9"),
    pytest.param({"cadence": 3001}, "3,001 is above 3,000", id="cadence 3,001"),
    pytest.param({"reserve": 600}, "reserve of 600", id="a reserve of all of it"),
    pytest.param({"user": "Jana"}, "is a standard user", id="a standard user"),
    pytest.param({"eurosms": "relay"}, "is an SMTP account, not", id="an SMTP account"),
    pytest.param({"eurosms": "nič"}, "known: brána, off, s cenou", id="no account"),
    pytest.param({"eurosms": "off"}, "`kadencia eurosms enable 'off'`", id="a disabled account"),
    pytest.param({"establishments": ["Nitra"]}, "known: Košice", id="no establishment"),
    pytest.param({"validity_seconds": 59}, "1 minute to 7 days", id="valid too short"),
    pytest.param({"validity_seconds": 604_801}, "60 to 604,800", id="valid too long"),
    pytest.param({"unknown_hours": 0}, "1 to 168 hours", id="no time for a report"),
    pytest.param({"unknown_policy": "guess"}, "with the same own key", id="no such policy"),
    pytest.param({"budget_day": Decimal(0)}, "budget of a day is 0 EUR", id="nothing a day"),
    pytest.param({"budget_month": Decimal(9)}, "nobody knows what an SMS", id="no price known"),
    pytest.param({"cadence_ceiling": 5000}, "only an administrator", id="a ceiling by nobody"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_a_task_that_breaks_a_rule_is_not_made(connection, company, wrong, words):
    point = connection.begin_nested()
    with pytest.raises(RegisterError, match=words):
        sms_tasks.create_sms_task(connection, company, TASK | wrong)
    point.rollback()

    assert task_views.tasks(connection, None, *SPANS) == []


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_nor_is_a_task_changed_so_that_it_breaks_one(connection, company, task, wrong, words):
    point = connection.begin_nested()
    with pytest.raises(RegisterError, match=words):
        sms_tasks.set_sms_task(connection, task, company, wrong)
    point.rollback()

    assert find_task(connection, company, "SMS") == task


@pytest.mark.parametrize("sender", ["Žltý kôň", "Kvetinarstvo", "a_b", "0903", ""])
def test_a_sender_that_operators_would_lose_is_refused(connection, company, sender):
    with pytest.raises(ContentError):
        sms_tasks.create_sms_task(connection, company, TASK | {"sender": sender})


def test_a_senders_number_loses_its_plus(connection, company, task):
    sms_tasks.set_sms_task(connection, task, company, {"sender": "+421903622237"})

    assert own(connection, task).sender == "421903622237"


@pytest.mark.parametrize("cadence", [10, 3000])
def test_the_bounds_of_the_cadence_are_allowed(connection, company, cadence):
    sms_tasks.create_sms_task(connection, company, TASK | {"cadence": cadence})

    assert find_task(connection, company, "SMS").cadence == cadence


def test_an_administrator_raises_the_ceiling(connection, company, task):
    raised = {"cadence": 9000, "cadence_ceiling": 10_000, "by": "Jana"}

    changed = sms_tasks.set_sms_task(connection, task, company, raised)

    assert changed == {"cadence": 9000, "cadence_ceiling": 10_000}


def test_a_budget_needs_a_price_that_is_set_or_was_seen(connection, company, task):
    budget = {"budget_day": Decimal(5), "budget_month": Decimal(50)}

    assert sms_tasks.set_sms_task(connection, task, company, budget | {"eurosms": "s cenou"})
    point = connection.begin_nested()
    with pytest.raises(RegisterError, match=r"--price 0\.05"):
        sms_tasks.set_sms_task(connection, task, company, {"eurosms": "brána"})
    point.rollback()

    seen = "INSERT INTO eurosms_price VALUES (:id, '+421', '231.1', 0.031, now())"
    connection.execute(text(seen), {"id": task.account_id})
    assert sms_tasks.set_sms_task(connection, task, company, {"eurosms": "brána"})


def test_a_changed_budget_lets_an_exhausted_task_go_on_at_once(connection, company, task):
    sms_tasks.set_sms_task(
        connection, task, company, {"eurosms": "s cenou", "budget_day": Decimal(5)}
    )
    change(connection, task, "exhausted_until", "now() + interval '9 h'")
    change(connection, task, "next_run_at", "now() + interval '9 h'")

    sms_tasks.set_sms_task(connection, task, company, {"sender": "Kvety"})
    assert own(connection, task).exhausted_until is not None

    assert sms_tasks.set_sms_task(connection, task, company, {"budget_day": Decimal(6)})
    assert own(connection, task).exhausted_until is None
    assert is_due(connection, task)


def test_resuming_forgets_why_the_product_paused_it_and_the_spent_budget(connection, company, task):
    change(connection, task, "active", "false")
    change(connection, task, "paused_why", "'NO_BALANCE'")
    change(connection, task, "exhausted_until", "now() + interval '9 h'")
    paused = find_task(connection, company, "SMS")

    assert tasks.resume_task(connection, paused, company) is True

    resumed = find_task(connection, company, "SMS")
    assert (resumed.active, resumed.paused_why) == (True, None)
    assert own(connection, task).exhausted_until is None
    assert is_due(connection, task)


def test_a_person_who_pauses_what_the_product_paused_takes_it_over(connection, company, task):
    change(connection, task, "active", "false")
    change(connection, task, "paused_why", "'WRONG_SIGNATURE'")

    assert tasks.pause_task(connection, find_task(connection, company, "SMS")) is False

    assert find_task(connection, company, "SMS").paused_why is None


def test_tasks_of_the_other_channel_are_refused(connection, company, task):
    letters = {"sender_name": "Ruža", "sender_address": "info@ruza.example", "smtp": "relay"}
    of_mail = {n: v for n, v in TASK.items() if n not in ("sender", "eurosms")} | letters
    tasks.create_task(connection, company, of_mail | {"name": "Pošta"})
    mail = find_task(connection, company, "Pošta")

    with pytest.raises(RegisterError, match=r"'SMS' sends SMS, not e-mails; .* task set-sms` ch"):
        tasks.set_task(connection, task, company, {"cadence": 100})
    with pytest.raises(RegisterError, match=r"'Pošta' sends e-mails, not SMS; .* task set` ch"):
        sms_tasks.set_sms_task(connection, mail, company, {"cadence": 100})
    with pytest.raises(RegisterError, match="is an account at EuroSMS, not an SMTP account"):
        tasks.set_task(connection, mail, company, {"smtp": "brána"})


def test_a_task_is_shown_by_its_original_name_with_what_it_spent(connection, company, task):
    today = "CAST(clock_timestamp() AT TIME ZONE 'Europe/Bratislava' AS date)"
    for day, spent in ((today, 1.25), (f"date_trunc('month', {today}) - interval '1 day'", 7)):
        insert = f"INSERT INTO sms_spend VALUES (:id, {day}, :spent)"
        connection.execute(text(insert), {"id": task.id, "spent": spent})

    shown = task_views.shown_task(connection, task, *SPANS)

    assert shown["type"] == "Posielanie SMS správ cez EuroSMS"
    assert (shown["eurosms"], shown["sender"], shown["budget_day"]) == ("brána", "Ruza", None)
    assert (shown["spent_today"], shown["spent_this_month"]) == (Decimal("1.25"), Decimal("1.25"))
    assert not {"smtp", "sender_address"} & shown.keys()
    assert shown["paused_why"] is None


def test_a_task_may_be_limited_to_an_establishment(connection, company, task):
    changed = sms_tasks.set_sms_task(connection, task, company, {"establishments": ["Košice"]})

    assert changed == {"establishments": ["Košice"]}
    assert task_views.shown_task(connection, task, *SPANS)["establishments"] == ["Košice"]


def test_its_backlog_is_that_of_its_sms(connection, company, task):
    made = rows.MadeTask(task.id, company.id, task.account_id, task.server_id, "main", 0)
    lane = rows.make_lane(connection, company.id, channel="sms")
    rows.make_sms(connection, made, lane_id=lane)
    rows.make_message(connection, made, lane_id=rows.make_lane(connection, company.id))

    assert task_views.shown_task(connection, task, *SPANS)["backlog"] == 1
