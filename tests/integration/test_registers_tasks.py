"""Automatic tasks: the rules of the original, and what a change does."""

from datetime import time, timedelta

import pytest
from sqlalchemy import select, text

from models.automation import Account, AutomaticTask
from models.states import Waits
from tests.support import rows
from tests.support.shared_database import rolled_back, shared_engine
from worker.core.addresses import AddressError
from worker.outbox import journal
from worker.registers import RegisterError, accounts, companies, servers, task_views, users
from worker.registers.naming import find_company
from worker.registers.plans import plan_columns
from worker.registers.task_parts import establishments_of
from worker.registers.tasks import (
    create_task,
    find_task,
    pause_task,
    resume_task,
    run_now,
    set_task,
)
from worker.vault import Vault

TASK = {
    "name": "Pošta",
    "server": "main",
    "user": "Robot",
    "smtp": "relay",
    "sender_name": "Kvetinárstvo Ruža",
    "sender_address": "info@ruza.example",
    "cadence": 3000,
    "active": True,
}
SPANS = (timedelta(hours=1), timedelta(minutes=11))


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
    companies.add_establishment(connection, owner, "Žilina")
    users.add_user(connection, owner, "Robot", "system")
    users.add_user(connection, owner, "Starý robot", "system")
    users.disable_user(connection, owner, "Starý robot")
    users.add_user(connection, owner, "Jana", "standard", administrator=True)
    users.add_user(connection, owner, "Peter", "standard")
    servers.add_server(connection, "main")
    relay = {"name": "relay", "host": "smtp.ruza.example", "security": "tls"}
    accounts.add_account(connection, owner, Vault([]), relay)
    accounts.add_account(connection, owner, Vault([]), relay | {"name": "off"})
    accounts.disable_account(connection, owner, "off")
    other = rows.make_company(connection, name="Iná")
    rows.make_user(connection, other, name="Cudzí")
    rows.make_account(connection, other, name="cudzí")
    return owner


@pytest.fixture
def task(connection, company):
    create_task(connection, company, TASK)
    return find_task(connection, company, "Pošta")


def row_of(connection, task):
    return connection.execute(
        select(AutomaticTask.__table__).where(AutomaticTask.id == task.id)
    ).one()


WRONG = [
    pytest.param({"cadence": 99}, "99 is below 100; give 100 to 3,000", id="cadence 99"),
    pytest.param({"cadence": 3001}, "3,001 is above 3,000", id="cadence 3,001"),
    pytest.param({"cadence": 0}, "below 100", id="cadence 0"),
    pytest.param({"reserve": 3000}, "reserve of 3,000", id="a reserve of all of it"),
    pytest.param({"reserve": -1}, "give 0 to 2,999", id="a negative reserve"),
    pytest.param({"user": "Jana"}, "is a standard user, a person", id="a standard user"),
    pytest.param({"user": "Starý robot"}, "is disabled", id="a disabled system user"),
    pytest.param({"user": "Cudzí"}, "no user 'Cudzí'; known: Jana", id="another company's user"),
    pytest.param({"server": "nikde"}, "no OAC server 'nikde'; known: main", id="unknown server"),
    pytest.param({"smtp": "nič"}, "no SMTP account 'nič'; known: off, relay", id="no account"),
    pytest.param({"smtp": "cudzí"}, "no SMTP account", id="another company's account"),
    pytest.param({"smtp": "off"}, "is disabled; enable it", id="a disabled account"),
    pytest.param({"establishments": ["Nitra"]}, "known: Košice, Žilina", id="no establishment"),
    pytest.param({"name": ""}, "is blank", id="no name"),
    pytest.param({"sender_address": "R <a@b.example>"}, "has a name in it", id="a named address"),
    pytest.param({"most_attempts": 0}, "give 1 to 1,000", id="no attempts"),
    pytest.param({"retry_first": 0.0}, "are impossible", id="no time to the first retry"),
    pytest.param({"retry_longest": 10.0}, "are impossible", id="the longest below the first"),
    pytest.param({"retry_longest": float("inf")}, "are impossible", id="for ever"),
    pytest.param({"unknown_policy": "guess"}, "hold .* or resend", id="an unheard-of policy"),
    pytest.param({"by": "Jana"}, "and no ceiling", id="an administrator for nothing"),
    pytest.param({"cadence_ceiling": 5000}, "only an administrator", id="a ceiling by nobody"),
    pytest.param(
        {"cadence_ceiling": 5000, "by": "Peter"}, "no administrator", id="a ceiling by anybody"
    ),
    pytest.param(
        {"cadence_ceiling": 2000, "by": "Jana", "cadence": 100},
        "ceiling of 2,000 is below 3,000",
        id="a ceiling that is none",
    ),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_a_task_that_breaks_a_rule_is_not_made(connection, company, wrong, words):
    with pytest.raises(RegisterError, match=words):
        create_task(connection, company, TASK | wrong)

    assert connection.execute(select(AutomaticTask.id)).all() == []


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_nor_is_a_task_changed_so_that_it_breaks_one(connection, company, task, wrong, words):
    with pytest.raises(RegisterError, match=words):
        set_task(connection, task, company, wrong)

    assert row_of(connection, task) == task


@pytest.mark.parametrize("address", ["info", "info@", "a@b@c.example", "info\r\nBcc: x@y.example"])
def test_a_sender_that_is_no_address_is_refused(connection, company, address):
    with pytest.raises(AddressError):
        create_task(connection, company, TASK | {"sender_address": address})


def test_a_name_is_taken_once_in_a_company(connection, company, task):
    with pytest.raises(RegisterError, match="automatic task 'Pošta' exists already"):
        create_task(connection, company, TASK)


@pytest.mark.parametrize("cadence", [100, 3000])
def test_the_bounds_of_the_cadence_are_allowed(connection, company, cadence):
    create_task(connection, company, TASK | {"cadence": cadence})

    assert find_task(connection, company, "Pošta").cadence == cadence


def test_an_administrator_raises_the_ceiling_and_answers_for_it(connection, company, task):
    raised = {"cadence": 9000, "cadence_ceiling": 10_000, "by": "Jana"}
    assert set_task(connection, task, company, raised) == {
        "cadence": 9000,
        "cadence_ceiling": 10_000,
    }

    log = connection.execute(text("SELECT action, after FROM audit_log WHERE action LIKE '%ceil%'"))
    assert log.one() == ("set ceiling", {"ceiling": 10_000, "by": "Jana"})
    task = find_task(connection, company, "Pošta")
    with pytest.raises(RegisterError, match="9,000 is above 3,000"):
        set_task(connection, task, company, {"cadence_ceiling": 3000, "by": "Jana"})


def test_establishments_are_set_and_lifted(connection, company, task):
    set_task(connection, task, company, {"establishments": ["Žilina", "Košice"]})
    assert list(establishments_of(connection, task.id).values()) == ["Košice", "Žilina"]

    assert set_task(connection, task, company, {"establishments": ["Košice", "Žilina"]}) == {}
    set_task(connection, task, company, {"establishments": []})
    assert establishments_of(connection, task.id) == {}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"cadence": 600}, id="the cadence"),
        pytest.param({"establishments": ["Košice"]}, id="the establishments"),
        pytest.param(
            {"plan_days": [1], "plan_from": time(8), "plan_until": time(9)}, id="the plan"
        ),
    ],
)
def test_a_change_outlives_a_sweep_that_had_begun_before_it(connection, company, task, change):
    begun = journal.swept(connection, task.id)

    set_task(connection, task, company, change)
    later = begun.now + timedelta(days=3)
    journal.set_next(connection, task.id, begun.sweep_no, later, Waits.PLAN, begun.now)

    due = text("SELECT next_run_at <= clock_timestamp() FROM automatic_task WHERE id = :id")
    assert connection.execute(due, {"id": task.id}).scalar_one() is True


def test_a_paused_task_is_not_run_and_a_resumed_one_is_due_at_once(connection, company, task):
    assert pause_task(connection, task) is True
    paused = row_of(connection, task)
    with pytest.raises(RegisterError, match="is paused; resume it"):
        run_now(connection, paused)

    assert resume_task(connection, paused, company) is True
    assert row_of(connection, task).next_run_at is not None


def test_a_task_whose_user_was_disabled_is_not_resumed(connection, company, task):
    pause_task(connection, task)
    users.disable_user(connection, company, "Robot")

    with pytest.raises(RegisterError, match="system user 'Robot' is disabled"):
        resume_task(connection, row_of(connection, task), company)


def test_a_task_is_shown_with_names_plan_backlog_and_journal(connection, company, task):
    made = rows.MadeTask(task.id, company.id, task.account_id, task.server_id, "main", 0)
    lane = rows.make_lane(connection, company.id)
    rows.make_message(connection, made, lane_id=lane)
    journal.note(connection, task.id, 7, "the cadence is used up")
    days = {"plan_days": [1, 2, 5], "plan_from": time(8), "plan_until": time(17, 30)}
    set_task(connection, task, company, days)

    shown = task_views.shown_task(connection, task, *SPANS)

    assert shown["plan"] == "mon-tue,fri 08:00-17:30"
    assert (shown["server"], shown["user"], shown["smtp"]) == ("main", "Robot", "relay")
    assert (shown["backlog"], shown["establishments"]) == (1, "all")
    (run,) = task_views.journal(connection, task, 10)
    assert (run["released"], run["why_not_more"]) == (7, "the cadence is used up")
    assert [row["name"] for row in task_views.tasks(connection, None, *SPANS)] == ["Pošta"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param({"port": 0}, "port is 0; it must be 1 to 65,535", id="port 0"),
        pytest.param({"security": "ssl"}, "starttls, tls, none", id="an unheard-of security"),
        pytest.param({"host": "a b"}, "host is 'a b'", id="a host with a blank"),
        pytest.param({"host": ""}, "host is ''", id="no host"),
        pytest.param({"ca_file": "ca.pem"}, "no full path", id="a CA file that depends on where"),
        pytest.param({"command_timeout": 0}, "0.1 to 600 seconds", id="no time for an answer"),
        pytest.param({"most_connections": 0}, "1 to 1,000", id="no connections"),
        pytest.param({"hourly_limit": 0}, "hourly limit is 0", id="a limit of nothing"),
        pytest.param({"username": "posta"}, "no password", id="a user name alone"),
        pytest.param({"password": "x"}, "no user name", id="a password alone"),
    ],
)
def test_an_account_that_breaks_a_rule_is_not_made(connection, company, wrong, words):
    values = {"name": "new", "host": "smtp.ruza.example", "security": "tls"}

    with pytest.raises(RegisterError, match=words):
        accounts.add_account(connection, company, Vault([]), values | wrong)

    names = [row["name"] for row in accounts.accounts(connection, company.id)]
    assert names == ["off", "relay"]


def test_a_changed_account_is_tried_at_once_with_its_breaker_closed(connection, company, task):
    broken = "UPDATE account SET breaker_failures = 3, breaker_until = now() + '1 h'"
    connection.execute(text(broken))
    connection.execute(text("UPDATE automatic_task SET next_run_at = now() + interval '1 h'"))
    query = select(Account.__table__).where(Account.name == "relay")

    account = connection.execute(query).one()
    assert accounts.set_account(connection, account, Vault([]), {"port": 2465}) == {"port": 2465}

    assert connection.execute(query).one().breaker_until is None
    due = text("SELECT next_run_at <= clock_timestamp() FROM automatic_task")
    assert connection.execute(due).scalar_one() is True


def test_a_plan_may_last_the_whole_day_on_some_days(connection, company):
    working_days = plan_columns("mon-fri", "00:00-24:00")

    create_task(connection, company, {**TASK, **working_days})

    row = find_task(connection, company, "Pošta")
    assert (row.plan_days, row.plan_from, row.plan_until) == ([1, 2, 3, 4, 5], time(0), time(0))
