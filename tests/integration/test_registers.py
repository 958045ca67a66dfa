"""Companies, users, servers, suppressions and the safety mode: their rules and what they log."""

import select
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from sqlalchemy import insert, text, update

from models.fleet import Installation, Process, Server
from models.organisation import Company, User
from tests.support import rows
from tests.support.shared_database import rolled_back, shared_engine
from worker.core.addresses import AddressError
from worker.core.content import ContentError
from worker.registers import RegisterError, companies, safety, servers, suppressions, users
from worker.registers.naming import find, find_company

HOUR = timedelta(hours=1)
LIVELY = {"silent_after": timedelta(seconds=30), "window": HOUR, "longest": timedelta(minutes=11)}


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
    return find_company(connection, None)


def logged(connection, subject):
    query = text("SELECT who, action, before, after FROM audit_log WHERE subject = :s ORDER BY id")
    return [tuple(row) for row in connection.execute(query, {"s": subject})]


def listening(database_url):
    listener = psycopg2.connect(database_url)
    listener.autocommit = True
    listener.cursor().execute("LISTEN kadencia_task")
    return listener


def heard(listener):
    select.select([listener], [], [], 5)
    listener.poll()
    return {int(one.payload) for one in listener.notifies}


@pytest.mark.parametrize(
    ("name", "domain", "zone", "words"),
    [
        pytest.param(" ", "a.example", "Europe/Prague", "is blank", id="no name"),
        pytest.param("x" * 201, "a.example", "Europe/Prague", "more than 200", id="a long name"),
        pytest.param("X", "a b.example", "Europe/Prague", "is no domain", id="no domain"),
        pytest.param("X", "a.example", "Mars/Olympus", "no time zone", id="an unknown zone"),
        pytest.param("X", "a.example", "Europe", "no time zone", id="a folder of zones"),
        pytest.param("X", "a.example", "/etc/passwd", "no time zone", id="a path"),
        pytest.param("Kvetinárstvo Ruža", "a.example", "UTC", "already", id="a name in use"),
    ],
)
def test_a_company_that_breaks_a_rule_is_refused_in_words(
    connection, company, name, domain, zone, words
):
    with pytest.raises(RegisterError, match=words):
        companies.add_company(connection, name, domain, zone)

    assert len(companies.companies(connection)) == 1


def test_what_is_made_and_changed_is_in_the_audit_log_with_who_did_it(connection, company):
    companies.set_company(connection, company, time_zone="Europe/Prague", domain="ruza.example")

    made, changed = logged(connection, f"company:{company.id}")
    assert made[:3] == ("anna", "create", None)
    assert changed == (
        "anna",
        "change",
        {"time_zone": "Europe/Bratislava"},
        {"time_zone": "Europe/Prague"},
    )


def test_a_change_to_what_it_is_already_changes_and_logs_nothing(connection, company):
    assert companies.set_company(connection, company, domain="ruza.example") == {}
    assert len(logged(connection, f"company:{company.id}")) == 1


def test_one_company_need_not_be_named_and_one_of_two_must(connection, company):
    assert find_company(connection, None).id == company.id

    rows.make_company(connection, name="Iná")

    with pytest.raises(RegisterError, match="more than one company; add --company NAME: Iná, Kve"):
        find_company(connection, None)


def test_whoever_names_what_is_not_there_learns_what_is(connection, company):
    companies.add_establishment(connection, company, "Košice")
    servers.add_server(connection, "main")

    with pytest.raises(RegisterError, match="no OAC server 'mian'; known: main;"):
        find(connection, Server, "mian")
    with pytest.raises(RegisterError, match="no company 'Rúža'; known: Kvetinárstvo Ruža"):
        find(connection, Company, "Rúža")


def test_a_system_user_cannot_administer(connection, company):
    with pytest.raises(RegisterError, match="can never log in"):
        users.add_user(connection, company, "Robot", "system", administrator=True)


def test_a_user_under_whom_an_active_task_runs_cannot_be_disabled(connection, company):
    robot = users.add_user(connection, company, "Robot", "system")
    task = rows.make_task(connection, company.id, user_id=robot, name="Pošta")

    with pytest.raises(RegisterError, match="run under 'Robot': Pošta; pause them"):
        users.disable_user(connection, company, "Robot")

    connection.execute(text("UPDATE automatic_task SET active = false"))
    assert users.disable_user(connection, company, "Robot") is True
    assert users.disable_user(connection, company, "Robot") is False
    assert task.id


def test_users_are_listed_with_kind_and_flags(connection, company):
    users.add_user(connection, company, "Jana", "standard", administrator=True)

    (jana,) = users.users(connection, company.id)
    assert (jana["kind"], jana["administrator"], jana["disabled"]) == ("standard", True, False)
    assert find(connection, User, "Jana", company.id).id == jana["id"]


@pytest.mark.parametrize("name", ["Main", "1st", "a_b", "", "x" * 32, "main\n"])
def test_a_server_name_that_no_queue_can_carry_is_refused(connection, name):
    with pytest.raises(RegisterError, match="cannot be an OAC server's name"):
        servers.add_server(connection, name)


def test_servers_are_listed_with_live_and_silent_processes_backlog_and_rate(connection):
    task = rows.make_task(connection)
    now = datetime.now(UTC)
    for pid, age in ((1, 0), (2, 0), (3, 300)):
        process = {"id": f"00000000-0000-0000-0000-00000000000{pid}", "host": "h", "pid": pid}
        beat = {"version": "0.1.0", "slots": 4, "beat_at": now - timedelta(seconds=age)}
        connection.execute(insert(Process).values(server_id=task.server_id, **process, **beat))
    rows.make_message(connection, task)
    rows.make_message(connection, task, state="released")
    rows.make_attempt(connection, task, state="accepted", domains={"firma.example": 3})
    old = {"opened_at": now - 2 * HOUR, "closed_at": now - 2 * HOUR}
    rows.make_attempt(connection, task, state="accepted", **old)
    servers.add_server(connection, "idle")

    idle, main = servers.servers(connection, **LIVELY)

    assert (idle["name"], idle["state"], idle["heard_seconds_ago"]) == ("idle", "no worker", None)
    assert (main["state"], main["live"], main["silent"], main["slots"]) == ("live", 2, 1, 8)
    assert (main["backlog"], main["on_the_way"], main["sent_last_hour"]) == (1, 1, 3)
    assert main["version"] == ["0.1.0"]
    assert [one["silent"] for one in main["each"]] == [False, False, True]


def test_a_resumed_server_has_its_tasks_swept_at_once(engine, database_url):
    with engine.begin() as connection:
        task = rows.make_task(connection)
        rows.make_task(connection, server="other")
        servers.pause_server(connection, "main")
    listener = listening(database_url)

    with engine.begin() as connection:
        assert servers.resume_server(connection, "main") is True

    assert heard(listener) == {task.id}
    listener.close()


def test_suppressed_addresses_are_compared_as_the_claim_does(connection, company):
    keys = suppressions.read_addresses(["Eva@Kôň.example", "#", " jan@x.example "], "ban.txt", "SK")

    assert suppressions.suppress(connection, company, keys, "odhlásenie") == (2, 0)
    assert suppressions.suppress(connection, company, ["jan@x.example"], "iné") == (0, 1)

    listed = suppressions.suppressions(connection, company.id, 10)
    assert [(row["address"], row["why"]) for row in listed] == [
        ("eva@xn--k-xga6w.example", "odhlásenie"),
        ("jan@x.example", "odhlásenie"),
    ]
    suppressions.unsuppress(connection, company, "JAN@x.example")
    assert len(suppressions.suppressions(connection, company.id, 10)) == 1
    with pytest.raises(RegisterError, match="is not suppressed"):
        suppressions.unsuppress(connection, company, "jan@x.example")


def test_a_list_longer_than_a_statement_with_repeats_is_taken(connection, company):
    keys = [f"a{number % 2500}@x.example" for number in range(3000)]

    assert suppressions.suppress(connection, company, keys, "dovoz") == (2500, 500)


def test_the_safety_mode_is_one_of_redirect_and_allow(connection):
    safety.redirect(connection, "Skúška <skuska@firma.example>")
    assert safety.installation(connection)["redirect_to"] == "skuska@firma.example"

    safety.allow(connection, ["@Kôň.example", "Anna@Firma.example"])
    state = safety.installation(connection)
    assert state["redirect_to"] is None
    assert state["allowed"] == ["@xn--k-xga6w.example", "anna@firma.example"]

    assert safety.safety_off(connection) is True
    assert safety.safety_off(connection) is False


def test_a_number_is_let_through_by_its_international_form_alone(connection):
    assert safety.allow(connection, ["+421 (903) 622-237"]) == ["+421903622237"]

    with pytest.raises(RegisterError, match="has no calling code"):
        safety.allow(connection, ["0903 622 237"])
    with pytest.raises(ContentError, match="is a landline"):
        safety.allow(connection, ["+421 2 5441 1234"])


def test_a_safety_mode_for_no_address_is_refused(connection):
    with pytest.raises(AddressError):
        safety.redirect(connection, "nikto")
    with pytest.raises(RegisterError, match="nobody is listed"):
        safety.allow(connection, [])


def test_start_all_wakes_every_active_task(engine, database_url):
    with engine.begin() as connection:
        task = rows.make_task(connection)
        rows.make_task(connection, active=False)
        assert safety.stop_all(connection, "skúška") is True
        assert safety.stop_all(connection, "ešte raz") is False
        assert safety.installation(connection)["stopped_why"] == "skúška"
    listener = listening(database_url)

    with engine.begin() as connection:
        assert safety.start_all(connection, reviewed=False) is True

    assert heard(listener) == {task.id}
    listener.close()


def test_after_a_restore_only_a_person_who_has_looked_lets_sending_go_on(connection):
    rows.make_message(connection, rows.make_task(connection), state="unknown")
    restored = {"restored": True, "stopped_at": datetime.now(UTC)}
    connection.execute(update(Installation).values(**restored))

    with pytest.raises(RegisterError, match="1 messages are unknown"):
        safety.start_all(connection, reviewed=False)

    assert safety.start_all(connection, reviewed=True) is True
    assert safety.installation(connection)["restored"] is False
