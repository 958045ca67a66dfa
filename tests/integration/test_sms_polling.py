"""Asking a gateway for delivery reports: none is lost and none counts twice, whoever dies."""

from __future__ import annotations

import json
import subprocess
import threading
import uuid
from base64 import b64decode
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import redis
from celery import Celery
from sqlalchemy import text

from settings.celery import BROKER_OPTIONS
from tests.support.emulator import KEY, EmulatorProcess
from tests.support.kernel import change
from tests.support.office import closed_port
from tests.support.process_table import wait_until
from tests.support.reports import VAULT, Desk
from tests.support.rows import make_company, make_eurosms_account, make_sms_task
from worker import db
from worker.beat import Scheduler
from worker.crashpoints import CrashPoint
from worker.outbox import overdue, sms_polls
from worker.sms.polling import CHUNK
from worker.vault import Vault

PAST = datetime(2020, 1, 1, tzinfo=UTC)
JUST_NOW = datetime.now(UTC)
SILENT = timedelta(seconds=30)
NEAR_THE_END = timedelta(days=6, hours=13)
BEYOND = timedelta(days=7, minutes=1)


@pytest.fixture
def gateway():
    with EmulatorProcess("--report-after", "0") as process:
        yield process


@pytest.fixture
def desk(engine, gateway):
    return Desk(engine, gateway)


def test_every_report_is_taken_in_once(desk):
    sent, failed = desk.sent(), desk.sent("+421901000002")

    first, second = desk.poll(), desk.poll()

    assert (first > 0, second) == (True, 0)
    assert [desk.state(one) for one in (sent, failed)] == ["delivered", "undelivered"]
    assert [desk.moves(one) for one in (sent, failed)] == [["delivered"], ["undelivered"]]
    queue = desk.queue()
    assert (queue.trxid, queue.holder, queue.failures, queue.why) == (None, None, 0, None)
    assert queue.polled_at is not None
    assert desk.sms(sent).price is not None


def test_a_report_with_its_own_key_settles_an_sms_whose_answer_was_lost(desk):
    made = desk.unanswered()

    desk.poll()

    assert desk.state(made) == "delivered"
    assert desk.moves(made) == ["delivered"]


@pytest.mark.parametrize(
    "queue",
    [
        pytest.param({"polled_at": None}, id="never"),
        pytest.param({"polled_at": PAST}, id="not since its hours ended"),
        pytest.param({"polled_at": JUST_NOW, "failures": 1}, id="in part"),
    ],
)
def test_an_sms_is_not_silent_of_which_no_reports_were_fetched(desk, queue):
    made = desk.unanswered()
    with desk.engine.begin() as connection:
        change(connection, "automatic_task", desk.task.id, unknown_policy="resend")
        change(connection, "message", made.id, unknowns=1)
        lost = "UPDATE attempt SET text = 'lost', closed_at = now() - interval '30 hours'"
        connection.execute(text(lost))
    desk.change_queue(**queue)

    with desk.engine.begin() as connection:
        assert overdue.resend_silent(connection) == []
    desk.poll()

    assert desk.state(made) == "delivered"


def test_the_balance_is_looked_at_every_hour(desk, gateway):
    account = text("SELECT balance FROM eurosms_account")

    def balance():
        with desk.engine.connect() as connection:
            return connection.execute(account).scalar_one()

    desk.poll()
    first = balance()
    gateway.control("balance", {"add": "5"})
    desk.poll()
    within_the_hour = balance()
    with desk.engine.begin() as connection:
        connection.execute(
            text("UPDATE eurosms_account SET balance_at = now() - interval '61 min'")
        )
    desk.poll()

    assert (first, within_the_hour, balance()) == (1000, 1000, 1005)


def test_many_reports_are_taken_in_as_well(desk):
    made = [desk.sent() for _ in range(CHUNK + 1)]

    assert desk.poll() == CHUNK + 1

    assert {desk.state(one) for one in made} == {"delivered"}


def test_a_lost_answer_is_asked_for_again_with_the_same_trxid(desk):
    made = desk.sent()
    desk.gateway.misbehave({"kind": "lost-answer", "times": 1})

    assert desk.poll() == 0

    queue = desk.queue()
    assert (queue.failures, queue.holder, len(queue.trxid)) == (1, None, 40)
    assert queue.why.startswith("EuroSMS ")
    assert 5 < queue.due_in <= 10
    assert KEY not in queue.why
    assert desk.poll() > 0
    assert desk.state(made) == "delivered"
    assert desk.queue().failures == 0


@pytest.mark.parametrize("point", [CrashPoint.POLL_ASKED, CrashPoint.POLL_ANSWERED])
def test_a_poller_that_is_killed_loses_no_report(desk, tmp_path, point):
    made = desk.sent()
    (tmp_path / point).touch()

    killed = subprocess.run(desk.command(), env=desk.environment(tmp_path), timeout=60)

    assert killed.returncode == -9
    assert desk.queue().trxid is not None
    assert desk.poll() == 0  # it may still be alive: nobody asks before its time is over
    desk.change_queue(held_until=PAST)
    assert desk.poll() > 0
    assert (desk.state(made), desk.moves(made)) == ("delivered", ["delivered"])


def in_a_thread(act):
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def slow(desk):
    desk.gateway.misbehave({"kind": "slow", "path": "status/any", "seconds": 1, "times": 1})


def test_of_two_pollers_at_once_one_asks(desk):
    made = desk.sent()
    slow(desk)
    first = in_a_thread(desk.poll)
    wait_until(lambda: desk.queue().holder is not None)

    second = desk.poll()
    asked = desk.asked("status/any")
    first.join()

    assert (second, asked) == (0, 1)
    assert desk.state(made) == "delivered"


def test_a_poller_that_was_overtaken_does_no_harm(desk):
    made = desk.sent()
    slow(desk)
    first = in_a_thread(desk.poll)
    wait_until(lambda: desk.asked("status/any") == 1)
    desk.change_queue(held_until=PAST)

    assert desk.poll() > 0
    later, other = desk.sent(), uuid.uuid4()
    desk.change_queue(trxid="f" * 40, holder=other, held_until="2040-01-01")  # a third asks
    first.join()

    assert (desk.queue().trxid, desk.queue().holder) == ("f" * 40, other)
    desk.change_queue(held_until=PAST)
    assert desk.poll() > 0
    assert [desk.state(one) for one in (made, later)] == ["delivered", "delivered"]
    assert desk.moves(made) == ["delivered"]


def test_a_gateway_that_is_restarted_is_asked_again_later_each_time(desk):
    made = desk.sent()
    desk.gateway.halt()
    desk.poll()
    desk.poll()
    queue = desk.queue()

    desk.gateway.start()
    desk.poll()

    assert (queue.failures, 10 < queue.due_in <= 20) == (2, True)
    assert desk.state(made) == "delivered"


def test_a_gateway_that_refuses_is_noted_with_its_word(engine, gateway):
    desk = Desk(engine, gateway, key=VAULT.seal("another"))

    desk.poll()

    assert "WRONG_SIGNATURE" in desk.queue().why


def test_a_key_that_no_vault_opens_is_noted(desk):
    with desk.engine.begin() as connection:
        connection.execute(
            text("UPDATE eurosms_account SET key = :key"),
            {"key": Vault(["A" * 43 + "="]).seal(KEY)},
        )

    desk.poll()

    assert desk.queue().why.startswith("a stored credential was sealed with a key")
    assert desk.asked("status/any") == 0


def test_a_wrong_key_of_one_account_does_not_keep_the_reports_from_others_that_share_them(desk):
    made = desk.sent()
    with desk.engine.begin() as connection:
        sharing = {"base_url": desk.gateway.url, "integration_id": desk.queue().integration_id}
        other = make_company(connection)
        make_eurosms_account(connection, other, **sharing, key=VAULT.seal(KEY))
        wrong = {"key": VAULT.seal("wr0ng-k3y"), "id": desk.task.account_id}
        connection.execute(
            text("UPDATE eurosms_account SET key = :key WHERE account_id = :id"), wrong
        )

    desk.poll()
    assert "WRONG_SIGNATURE" in desk.queue().why
    desk.poll()

    assert desk.state(made) == "delivered"


def test_nobody_asks_in_the_name_of_a_disabled_account(desk):
    desk.sent()
    with desk.engine.begin() as connection:
        change(connection, "account", desk.task.account_id, enabled=False)

    assert desk.poll() == 0
    assert desk.asked("status/any") == 0


@pytest.mark.parametrize("shape", ["flat", "list", "nested"])
def test_near_the_end_each_open_sms_is_asked_after_by_itself(engine, shape):
    with EmulatorProcess("--report-after", "0", "--status-shape", shape) as gateway:
        desk = Desk(engine, gateway)
        made, fresh = desk.sent(ago=NEAR_THE_END), desk.sent()
        gateway.changed("0" * 40)  # somebody else was given their reports

        desk.poll()

        assert [desk.state(one) for one in (made, fresh)] == ["delivered", "sent"]
        assert desk.row("SELECT DISTINCT source FROM delivery_report").source == "one"
        assert desk.asked("status/one") == 1


def test_one_that_stays_open_is_asked_after_again_in_six_hours(desk):
    made = desk.sent(ago=NEAR_THE_END)
    desk.gateway.changed("0" * 40)
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE sms_segment SET uuid = gen_random_uuid()"))

    desk.poll()
    desk.poll()
    assert desk.asked("status/one") == 1
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE sms SET asked_at = asked_at - interval '6 hours'"))
    desk.poll()

    assert (desk.asked("status/one"), desk.state(made)) == (2, "sent")


def test_a_question_after_one_sms_that_is_not_answered_comes_again_within_the_hour(desk):
    desk.sent(ago=NEAR_THE_END)
    desk.gateway.changed("0" * 40)
    desk.gateway.misbehave({"kind": "error-html", "path": "status/one"})

    desk.poll()

    age = desk.row("SELECT clock_timestamp() - asked_at AS age FROM sms").age
    assert timedelta(hours=5) <= age < timedelta(hours=6)
    assert desk.queue().failures == 1


def test_a_gateway_that_refuses_to_tell_of_one_sms_tells_of_the_others(desk):
    first, second = desk.sent(ago=NEAR_THE_END), desk.sent(ago=NEAR_THE_END)
    desk.gateway.changed("0" * 40)
    desk.gateway.misbehave({"kind": "redirect", "path": "status/one", "times": 1})

    desk.poll()

    assert sorted(desk.state(one) for one in (first, second)) == ["delivered", "sent"]
    assert desk.queue().failures == 0


def test_after_seven_days_it_is_not_confirmed_and_a_later_report_still_counts(desk):
    made = desk.sent(ago=BEYOND)
    desk.gateway.misbehave({"kind": "error-html", "path": "status/any", "times": 1})

    desk.poll()
    shown = desk.sms(made)

    assert (desk.state(made), shown.awaited) == ("sent", False)
    assert shown.unconfirmed_at is not None
    assert shown.why == "not confirmed: no final delivery report within 7 days"
    assert desk.asked("status/one") == 0
    desk.poll()
    assert (desk.state(made), desk.sms(made).unconfirmed_at) == ("delivered", None)


def alive(connection, task, sms_slots=2, ago=0):
    connection.execute(
        text("""
            INSERT INTO process (id, server_id, host, pid, version, slots, sms_slots, beat_at)
            VALUES (gen_random_uuid(), :server, 'host', 1, '1', 2, :slots,
                clock_timestamp() - make_interval(secs => :ago))"""),
        {"server": task.server_id, "slots": sms_slots, "ago": ago},
    )


def due(desk):
    with db.transaction(desk.engine) as connection:
        return [tuple(row) for row in sms_polls.due(connection, SILENT)]


def test_a_poll_is_due_once_where_a_process_for_sms_is_alive(desk):
    desk.sent()
    with desk.engine.begin() as connection:
        alive(connection, desk.task)

    assert due(desk) == [(desk.poll_id, "main")]
    assert due(desk) == []
    assert 15 < desk.queue().due_in <= 20
    with desk.engine.begin() as connection:
        assert 15 < sms_polls.until_next(connection).total_seconds() <= 20


def test_a_poll_that_could_not_be_enqueued_is_due_again(desk):
    with desk.engine.begin() as connection:
        alive(connection, desk.task)
    due(desk)

    with desk.engine.begin() as connection:
        sms_polls.untake(connection, [desk.poll_id])

    assert due(desk) == [(desk.poll_id, "main")]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        pytest.param("process", {"sms_slots": 0}, id="no process takes SMS"),
        pytest.param("process", {"beat_at": PAST}, id="none is alive"),
        pytest.param("account", {"enabled": False}, id="the account is disabled"),
        pytest.param("eurosms_poll", {"next_at": "2040-01-01"}, id="it is not time yet"),
        pytest.param(
            "installation",
            {"restored": True, "stopped_at": PAST},
            id="a restore that nobody has released",
        ),
    ],
)
def test_no_poll_is_due(desk, table, columns):
    desk.sent()
    with desk.engine.begin() as connection:
        alive(connection, desk.task)
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        connection.execute(text(f"UPDATE {table} SET {changes}"), columns)

    assert due(desk) == []


def test_a_paused_task_wants_its_reports_all_the_same(desk):
    desk.sent()
    with desk.engine.begin() as connection:
        alive(connection, desk.task)
        change(connection, "automatic_task", desk.task.id, active=False)

    assert due(desk) == [(desk.poll_id, "main")]


def test_an_account_that_no_task_uses_any_more_wants_the_reports_on_what_it_sent(desk):
    desk.sent()
    with desk.engine.begin() as connection:
        other = make_eurosms_account(connection, desk.task.company_id)
        change(connection, "automatic_task", desk.task.id, account_id=other)
        elsewhere = make_sms_task(connection, server="another")
        alive(connection, elsewhere)

    assert due(desk) == [(desk.poll_id, "another")]
    assert 15 < desk.queue().due_in <= 20


def test_where_nothing_is_to_be_expected_a_poll_is_due_every_ten_minutes(desk):
    with desk.engine.begin() as connection:
        alive(connection, desk.task)

    assert due(desk) == [(desk.poll_id, "main")]
    assert 590 < desk.queue().due_in <= 600


def test_the_row_of_an_integration_is_made_once(desk):
    with desk.engine.begin() as connection:
        sms_polls.ensure(connection, desk.gateway.url, desk.queue().integration_id)

        assert connection.execute(text("SELECT count(*) FROM eurosms_poll")).scalar_one() == 1


@pytest.fixture
def beat(desk, database_url, redis_url, monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("KADENCIA_DATA", str(tmp_path))

    @contextmanager
    def made(broker):
        monkeypatch.setenv("REDIS_URL", broker)
        app = Celery("tests", set_as_current=False)
        hasty = {"max_retries": 1, "interval_start": 0}
        app.conf.update(
            broker_url=broker,
            broker_transport_options={**BROKER_OPTIONS, **hasty},
            task_publish_retry=False,
        )
        scheduler = Scheduler(app, max_interval=0.01)
        yield scheduler
        scheduler.close()
        app.close()

    return made


def test_beat_enqueues_a_poll_that_is_due_for_a_server_of_sms(desk, beat, redis_url):
    with desk.engine.begin() as connection:
        alive(connection, desk.task)

    with beat(redis_url) as scheduler:
        scheduler.tick()
        scheduler.tick()

    with closing(redis.Redis.from_url(redis_url)) as client:
        [task] = client.lrange("oac.main.eurosms.reports", 0, -1)
    assert json.loads(b64decode(json.loads(task)["body"]))[0] == [desk.poll_id]


def test_a_poll_that_beat_could_not_enqueue_is_due_again_at_once(desk, beat):
    with desk.engine.begin() as connection:
        alive(connection, desk.task)

    with closed_port() as port, beat(f"redis://127.0.0.1:{port}/0") as scheduler:
        scheduler.tick()

    assert desk.queue().due_in <= 0
