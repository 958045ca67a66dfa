"""The courier tells real receivers, and notes what became of it."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
from sqlalchemy import NullPool, create_engine, event, make_url, text

from settings import load
from tests.support.process_table import wait_until
from tests.support.receiver import answer, receiver
from tests.support.rows import make_message, make_task
from tests.support.shared_database import shared_engine
from worker import alarms, vault
from worker.core.webhook_addresses import parse_networks
from worker.vault import Vault
from worker.webhooks import courier as courier_module
from worker.webhooks import posting, register, replaying
from worker.webhooks.courier import Courier
from worker.webhooks.deliveries import AT_ONCE

LOOPBACK = "127.0.0.0/8"
SETTINGS = load({"KADENCIA_WEBHOOK_ALLOW": LOOPBACK})
VAULT = Vault([vault.new_key()])


@pytest.fixture(scope="module")
def engine(services):
    with shared_engine(services) as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_is_left(engine, monkeypatch):
    monkeypatch.setattr(courier_module, "POLL_SECONDS", 0.05)
    yield
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM webhook"))
        connection.execute(text("DELETE FROM webhook_event"))


@pytest.fixture
def task(engine):
    with engine.begin() as connection:
        return make_task(connection)


@contextmanager
def courier(engine, settings=SETTINGS, vault=VAULT):
    stop = threading.Event()
    thread = threading.Thread(target=Courier(engine, vault, settings).run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def hook(engine, task, url, **chosen):
    """A webhook; its number and its secret."""
    with engine.begin() as connection:
        networks = parse_networks(LOOPBACK)
        return register.add(connection, task.company_id, VAULT, networks, url=url, **chosen)


def change(engine, task, *states, **columns):
    """A message that goes through these states; its number."""
    with engine.begin() as connection:
        made = make_message(connection, task, state="sending", **columns)
    for state in states:
        with engine.begin() as connection:
            connection.execute(
                text("""
                    UPDATE message SET state = :state, lease = NULL, deadline = NULL,
                        settled_at = CASE WHEN :state NOT IN ('ready', 'unknown', 'held')
                            THEN now() END
                    WHERE id = :id"""),
                {"state": state, "id": made.id},
            )
    return made.id


def rows(engine, query, **values):
    with engine.connect() as connection:
        return connection.execute(text(query), values).all()


def only(engine):
    """The only delivery."""
    (found,) = rows(engine, "SELECT * FROM webhook_delivery")
    return found


def webhook(engine, number):
    (found,) = rows(engine, "SELECT * FROM webhook WHERE id = :id", id=number)
    return found


def test_a_change_of_state_is_told_within_a_second_and_signed(engine, task, monkeypatch):
    monkeypatch.undo()
    with receiver() as there, courier(engine):
        _, secret = hook(engine, task, there.url)

        message = change(engine, task, "sent", reference="FA-2026-1")
        wait_until(lambda: there.heard, 5)

        (heard,) = there.heard
        assert heard.is_signed_with(secret)
        assert heard.json["type"] == "email.sent"
        assert heard.json["data"] == {
            "id": message,
            "channel": "email",
            "state": "sent",
            "state_sk": "Odoslané",
            "reference": "FA-2026-1",
        }
        wait_until(lambda: only(engine).delivered_at is not None)
    assert (only(engine).attempts, only(engine).last_status, only(engine).lease) == (1, 204, None)


def test_a_receiver_that_fails_is_told_again_later_under_the_same_id(engine, task):
    with receiver(answer(500)) as there, courier(engine):
        number, _ = hook(engine, task, there.url)
        change(engine, task, "failed")
        wait_until(lambda: only(engine).last_why == "HTTP 500")
        waits = rows(engine, "SELECT next_at - last_at FROM webhook_delivery")[0][0]

        there.behave = answer(200)
        with engine.begin() as connection:
            connection.execute(text("UPDATE webhook_delivery SET next_at = now()"))
        wait_until(lambda: only(engine).delivered_at is not None)

    assert 5 <= waits.total_seconds() < 7
    assert len(there.ids) == 2
    assert len(set(there.ids)) == 1
    assert (webhook(engine, number).failures, webhook(engine, number).failing_since) == (0, None)
    assert only(engine).last_why is None


def set_back(engine):
    """Have all that waits told now."""
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE webhook_delivery SET next_at = now() WHERE next_at IS NOT NULL")
        )
        connection.execute(text("UPDATE webhook SET quiet_until = NULL"))


def test_a_receiver_that_asks_for_time_is_left_alone_with_all_its_events(engine, task):
    with receiver(answer(503, Retry_After="600")) as there, courier(engine):
        hook(engine, task, there.url)
        change(engine, task, "sent")
        wait_until(lambda: only(engine).last_status == 503)
        change(engine, task, "sent")

        quiet = rows(engine, "SELECT quiet_until - now() FROM webhook")[0][0]
        assert 500 < quiet.total_seconds() <= 600
        waits = rows(engine, "SELECT attempts FROM webhook_delivery ORDER BY event_id")
        assert [row.attempts for row in waits] == [1, 0]
    assert len(there.heard) == 1


def test_a_receiver_that_is_gone_is_disabled_and_an_alarm_says_so(engine, task):
    with receiver(answer(410)) as there, courier(engine):
        number, _ = hook(engine, task, there.url)
        change(engine, task, "sent")
        wait_until(lambda: not webhook(engine, number).active)

    assert "410" in webhook(engine, number).disabled_why
    alarms.watch(engine, SETTINGS)
    (alarm,) = rows(engine, "SELECT * FROM alarm WHERE cleared_at IS NULL AND kind = 'webhook'")
    assert alarm.subject == f"webhook:{number}"
    assert "127.0.0.1" in alarm.what
    assert "stav" not in alarm.what
    (entry,) = rows(
        engine,
        "SELECT * FROM audit_log WHERE subject = :s AND action = 'disable'",
        s=f"webhook:{number}",
    )
    assert entry.who == "webhook courier"


def test_a_receiver_that_fails_for_days_is_disabled_and_taken_up_again_by_a_person(engine, task):
    with receiver(answer(500)) as there, courier(engine):
        number, _ = hook(engine, task, there.url)
        first = change(engine, task, "sent")
        wait_until(lambda: webhook(engine, number).failures == 1)
        with engine.begin() as connection:
            connection.execute(text("UPDATE webhook SET failing_since = now() - interval '5 days'"))
        set_back(engine)
        wait_until(lambda: not webhook(engine, number).active)
        missed = change(engine, task, "failed")
        assert len(rows(engine, "SELECT FROM webhook_delivery")) == 1

        there.behave, told = answer(200), len(there.heard)
        with engine.begin() as connection:
            row = register.find(connection, task.company_id, number, lock=True)
            assert register.enable(connection, row)
        wait_until(lambda: len(there.heard) == told + 1)
        with engine.begin() as connection:
            row = register.find(connection, task.company_id, number, lock=True)
            since = rows(engine, "SELECT min(at) AS at FROM webhook_event")[0].at
            assert replaying.replay_since(connection, row, since, undelivered=True) == 1
        wait_until(lambda: len(there.heard) == told + 2)

    messages = [one.json["data"]["id"] for one in there.heard[told:]]
    assert messages == [first, missed]
    alarms.watch(engine, SETTINGS)
    assert not rows(engine, "SELECT FROM alarm WHERE cleared_at IS NULL AND kind = 'webhook'")


def test_an_event_is_given_up_when_its_attempts_are_used_up_and_can_be_replayed(engine, task):
    with receiver(answer(400)) as there, courier(engine):
        number, _ = hook(engine, task, there.url)
        change(engine, task, "sent")
        wait_until(lambda: only(engine).last_status == 400)
        with engine.begin() as connection:
            connection.execute(text("UPDATE webhook_delivery SET attempts = 14, next_at = now()"))
        wait_until(lambda: only(engine).next_at is None)
        assert only(engine).attempts == 15

        there.behave = answer(200)
        with engine.begin() as connection:
            row = register.find(connection, task.company_id, number, lock=True)
            replaying.replay(connection, row, only(engine).event_id)
        wait_until(lambda: only(engine).delivered_at is not None)

    assert len(set(there.ids)) == 1


def test_a_redirect_is_not_followed_and_its_endless_body_not_read(engine, task):
    def redirect(handler):
        handler.send_response(302)
        handler.send_header("Location", f"http://127.0.0.1:{inner.port}/")
        handler.end_headers()
        while not there.release.is_set():
            handler.wfile.write(b"x" * 65_536)

    with receiver() as inner, receiver(redirect) as there, courier(engine):
        hook(engine, task, there.url)
        change(engine, task, "sent")
        wait_until(lambda: only(engine).last_status == 302)

    assert only(engine).last_why == "HTTP 302: redirects are not followed"
    assert inner.heard == []


def test_an_endless_answer_is_cut_and_counts_by_its_status(engine, task):
    sent = []

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        while not there.release.is_set():
            handler.wfile.write(b"x" * 65_536)
            sent.append(65_536)

    with receiver(endless) as there, courier(engine):
        hook(engine, task, there.url)
        change(engine, task, "sent")
        wait_until(lambda: only(engine).delivered_at is not None)
        wait_until(lambda: there.under_way == 0)  # its socket was closed

    assert sum(sent) < 16 * 2**20  # what the buffers of two sockets took


def test_a_receiver_that_drips_its_answer_is_cut_off(engine, task, monkeypatch):
    monkeypatch.setattr(posting, "TOTAL_SECONDS", 0.3)

    def drip(handler):
        while not there.release.wait(0.05):
            handler.wfile.write(b"H")
            handler.wfile.flush()

    with receiver(drip) as there, courier(engine):
        hook(engine, task, there.url)
        change(engine, task, "sent")
        wait_until(lambda: only(engine).last_at is not None)

    assert only(engine).last_why == "no answer within 0.3 s"


def test_what_is_no_http_is_no_answer(engine, task):
    def babble(handler):
        handler.wfile.write(b"220 smtp.firma.example ESMTP\r\n")

    with receiver(babble) as there, courier(engine):
        hook(engine, task, there.url)
        change(engine, task, "sent")
        wait_until(lambda: only(engine).last_at is not None)

    assert only(engine).last_why == "the connection ended without an HTTP answer"


def test_a_receiver_that_hangs_holds_up_no_other_and_only_its_own_few_connections(engine, task):
    with receiver() as quick, receiver() as slow, courier(engine):
        slow.behave = slow.hang
        hook(engine, task, slow.url)
        for _ in range(6):
            change(engine, task, "sent")
        wait_until(lambda: slow.under_way == AT_ONCE)

        with engine.begin() as connection:
            other = make_task(connection)
        hook(engine, other, quick.url)
        change(engine, other, "sent")
        wait_until(lambda: quick.heard, 5)

        assert slow.at_once == AT_ONCE
        slow.release.set()
        wait_until(lambda: len(slow.heard) == 6)
        assert slow.at_once == AT_ONCE


def test_two_couriers_tell_each_event_once(engine, task):
    def slowly(handler):
        there.release.wait(0.02)
        answer(204)(handler)

    with receiver(slowly) as there:
        hook(engine, task, there.url)
        for _ in range(30):
            change(engine, task, "sent")
        with courier(engine), courier(engine):
            wait_until(
                lambda: not rows(engine, "SELECT FROM webhook_delivery WHERE delivered_at IS NULL")
            )

        assert there.at_once <= AT_ONCE
    assert len(there.ids) == len(set(there.ids)) == 30


def test_a_stopped_courier_ends_what_it_began(engine, task):
    with receiver() as there:
        there.behave = there.hang
        with courier(engine):
            hook(engine, task, there.url)
            change(engine, task, "sent")
            wait_until(lambda: there.under_way)
            there.release.set()

    assert only(engine).delivered_at is not None


def test_who_is_not_in_an_allowed_network_is_not_connected_to(engine, task):
    with receiver() as there:
        hook(engine, task, there.url)
        change(engine, task, "sent")
        with courier(engine, load({})):
            wait_until(lambda: only(engine).last_at is not None)

    assert only(engine).last_why == "refused: its URL leads to loopback"
    assert there.heard == []


def test_a_name_that_leads_to_us_is_not_connected_to(engine, task):
    with receiver() as there:
        hook(engine, task, f"https://localhost:{there.port}/stav")
        change(engine, task, "sent")
        with courier(engine, load({"KADENCIA_WEBHOOK_ALLOW": "10.8.0.0/16"})):
            wait_until(lambda: only(engine).last_at is not None)

    assert only(engine).last_why == "refused: it leads to loopback"
    assert there.heard == []


def test_without_the_key_of_its_secret_a_webhook_waits_and_no_attempt_is_charged(engine, task):
    with receiver() as there, courier(engine, vault=Vault([vault.new_key()])):
        number, _ = hook(engine, task, there.url)
        change(engine, task, "sent")
        wait_until(
            lambda: rows(
                engine, "SELECT FROM webhook_delivery WHERE next_at > now() AND attempts = 0"
            )
        )

    assert there.heard == []
    assert (only(engine).lease, webhook(engine, number).failures) == (None, 0)


def test_both_secrets_sign_after_a_rotation(engine, task):
    with receiver() as there, courier(engine):
        number, old = hook(engine, task, there.url)
        with engine.begin() as connection:
            row = register.find(connection, task.company_id, number, lock=True)
            new = register.rotate(connection, row, VAULT)
        change(engine, task, "sent")
        wait_until(lambda: len(there.heard) == 1)

        with engine.begin() as connection:
            connection.execute(text("UPDATE webhook SET secret_before_until = now()"))
        change(engine, task, "sent")
        wait_until(lambda: len(there.heard) == 2)

    first, second = there.heard
    assert (first.is_signed_with(old), first.is_signed_with(new)) == (True, True)
    assert (second.is_signed_with(old), second.is_signed_with(new)) == (False, True)


def test_nothing_personal_is_told_or_kept(engine, task):
    secrets = {
        "recipients": ["jana.tajna@zakaznik.example"],
        "subject": "Tajný predmet",
        "why": "550 jana.tajna@zakaznik.example does not exist",
    }
    with receiver() as there, courier(engine):
        hook(engine, task, there.url)
        change(engine, task, "failed", **secrets)
        wait_until(lambda: there.heard)

    kept = str(rows(engine, "SELECT * FROM webhook_event")) + str(only(engine))
    said = kept + there.heard[0].octets.decode() + str(there.heard[0].headers)
    for personal in ("tajn", "Tajn", "zakaznik", "550"):
        assert personal not in said


@contextmanager
def away(services, engine):
    """PostgreSQL takes no connections to the test's database, and ends those that there are."""
    url = make_url(services.postgres.url_of("postgres")).set(drivername="postgresql+psycopg2")
    admin = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    name = engine.url.database
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        query = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(query, {"name": name})
        yield
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))


def test_an_answer_that_comes_while_the_database_is_away_is_noted_when_it_is_back(
    services, engine, task, monkeypatch
):
    monkeypatch.setattr(courier_module, "AWAY_SECONDS", 0.05)
    with receiver() as there, courier(engine):
        there.behave = there.hang
        hook(engine, task, there.url)
        change(engine, task, "sent")
        wait_until(lambda: there.under_way)

        errors = []
        note = errors.append
        event.listen(engine, "handle_error", note)
        with away(services, engine):
            there.release.set()
            wait_until(lambda: not there.under_way and len(errors) > 5)
        event.remove(engine, "handle_error", note)
        wait_until(lambda: only(engine).delivered_at is not None, 30)

        change(engine, task, "sent")
        wait_until(lambda: len(there.heard) == 2)
    assert len(set(there.ids)) == 2


def test_a_webhook_may_be_removed_while_it_is_told(engine, task):
    with receiver() as there, courier(engine):
        there.behave = there.hang
        number, _ = hook(engine, task, there.url)
        change(engine, task, "sent")
        wait_until(lambda: there.under_way)
        with engine.begin() as connection:
            register.remove(
                connection, register.find(connection, task.company_id, number, lock=True)
            )
        there.behave = answer(500)
        there.release.set()
        hook(engine, task, there.url)
        change(engine, task, "sent")
        wait_until(lambda: only(engine).last_status == 500)

    assert len(there.heard) == 2
