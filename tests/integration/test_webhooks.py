"""Webhooks in the database: what the trigger writes, what couriers take, what is kept and shown."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from models.states import MOVES, MessageState
from models.webhooks import TOLD
from settings import load
from tests.support.rows import make_message, make_sms, make_sms_task, make_task
from tests.support.shared_database import rolled_back, shared_engine
from worker import db, retention, vault
from worker.core.webhook_retry import Answer
from worker.outbox import watch
from worker.registers import RegisterError
from worker.registers.accounts import reseal_all
from worker.vault import Vault
from worker.webhooks import deliveries, register, replaying

VAULT = Vault([vault.new_key()])
URL = "https://prijem.firma.example/stav"


@pytest.fixture(scope="module")
def engine(services):
    with shared_engine(services) as made:
        yield made


@pytest.fixture
def connection(engine):
    with rolled_back(engine, "jana") as made:
        yield made


@pytest.fixture
def task(connection):
    return make_task(connection)


def hook(connection, task, **chosen):
    number, _ = register.add(connection, task.company_id, VAULT, [], **{"url": URL, **chosen})
    return register.find(connection, task.company_id, number, lock=True)


def move(connection, message, state):
    connection.execute(
        text("""
            UPDATE message SET state = CAST(:state AS text), task_id = coalesce(task_id, :task),
                lease = CASE WHEN :leased THEN gen_random_uuid() END,
                deadline = CASE WHEN :leased THEN now() END,
                settled_at = CASE WHEN NOT :open THEN now() END
            WHERE id = :id"""),
        {
            "state": state,
            "id": message,
            "task": connection.execute(text("SELECT min(id) FROM automatic_task")).scalar(),
            "leased": state in ("released", "sending"),
            "open": state in ("ready", "released", "sending", "held", "unknown"),
        },
    )


def told(connection):
    query = text("SELECT message_id, channel, state FROM webhook_event ORDER BY id")
    return [tuple(row) for row in connection.execute(query)]


def standing(connection, webhook):
    return [row.standing for row in replaying.deliveries(connection, webhook.id)]


def claim(connection, most=10, *, failing=False):
    return deliveries.claim(connection, most, failing=failing)


def settle(connection, delivery, answer):
    return deliveries.settle(connection, delivery, answer, timedelta(days=5), 0.0)


TAKEN, REFUSED = Answer(200, None), Answer(500, "HTTP 500")


def test_each_state_that_is_told_can_be_reached_and_is_written(connection, task):
    hook(connection, task)
    before = {state: next(a for a in MessageState if state in MOVES[a]) for state in TOLD}
    made = {
        state: make_message(connection, task, state=came.value).id for state, came in before.items()
    }

    for state, message in made.items():
        move(connection, message, state.value)

    assert told(connection) == [(made[state], "email", state.value) for state in TOLD]


def test_states_on_the_way_are_not_told(connection, task):
    hook(connection, task)
    message = make_message(connection, task).id

    for state in ("released", "sending", "ready"):
        move(connection, message, state)

    assert told(connection) == []


def test_a_state_that_stays_is_not_told_again(connection, task):
    hook(connection, task)
    message = make_message(connection, task, state="sent").id

    move(connection, message, "sent")

    assert told(connection) == []


def test_each_webhook_is_told_what_it_wants_of_its_own_company(connection, task):
    failures = hook(connection, task, events=["failed"])
    mails = hook(connection, task, channels=["email"])
    texts = hook(connection, task, channels=["sms"])
    other = make_task(connection)
    theirs = hook(connection, other)
    short = make_sms_task(connection, task.company_id)
    move(connection, make_message(connection, task, state="sending").id, "sent")
    move(connection, make_message(connection, task, state="sending").id, "failed")
    move(connection, make_sms(connection, short, state="sending").id, "sent")

    counts = [len(standing(connection, one)) for one in (failures, mails, texts, theirs)]

    assert counts == [1, 2, 1, 0]


def test_without_a_webhook_nothing_is_written(connection, task):
    move(connection, make_message(connection, task, state="sending").id, "sent")

    assert told(connection) == []


def test_what_is_rolled_back_was_not_told(connection, task):
    hook(connection, task)
    message = make_message(connection, task, state="sending").id
    point = connection.begin_nested()
    move(connection, message, "sent")

    point.rollback()

    assert told(connection) == []


def test_a_disabled_webhook_gets_no_deliveries_but_a_replay_finds_what_happened(connection, task):
    webhook = hook(connection, task)
    assert register.disable(connection, webhook)
    move(connection, make_message(connection, task, state="sending").id, "sent")
    assert standing(connection, webhook) == []
    off = register.find(connection, task.company_id, webhook.id)
    with pytest.raises(register.Disabled):
        replaying.replay_since(connection, off, datetime.now(UTC))

    register.enable(connection, off)
    on = register.find(connection, task.company_id, webhook.id)
    begin = datetime.now(UTC) - timedelta(minutes=1)

    assert replaying.replay_since(connection, on, begin) == 1
    assert standing(connection, webhook) == ["waiting"]


def test_a_courier_that_died_loses_its_lease_and_what_it_says_later_is_not_noted(connection, task):
    webhook = hook(connection, task)
    move(connection, make_message(connection, task, state="sending").id, "sent")
    (first,) = claim(connection)
    assert claim(connection) == []
    connection.execute(text("UPDATE webhook_delivery SET next_at = now()"))  # its lease has ended

    (second,) = claim(connection)
    settle(connection, second, TAKEN)
    settle(connection, first, REFUSED)

    assert second.told.id == first.told.id
    assert (first.attempts, second.attempts) == (1, 2)
    assert standing(connection, webhook) == ["delivered"]


def test_couriers_together_keep_the_bound_of_a_webhook(connection, task):
    hook(connection, task)
    for _ in range(6):
        move(connection, make_message(connection, task, state="sending").id, "sent")

    first = claim(connection)
    assert (len(first), claim(connection)) == (deliveries.AT_ONCE, [])
    settle(connection, first[0], TAKEN)

    assert len(claim(connection)) == 1


def test_a_webhook_that_fails_is_tried_with_one_event_at_a_time(connection, task):
    hook(connection, task)
    for _ in range(6):
        move(connection, make_message(connection, task, state="sending").id, "sent")
    for one in claim(connection)[:3]:
        settle(connection, one, REFUSED)
    connection.execute(text("UPDATE webhook SET quiet_until = NULL"))
    connection.execute(text("UPDATE webhook_delivery SET lease = NULL, next_at = now()"))

    assert claim(connection) == []
    assert len(claim(connection, failing=True)) == 1
    assert claim(connection, failing=True) == []


def test_the_oldest_event_goes_first(connection, task):
    hook(connection, task)
    for _ in range(3):
        move(connection, make_message(connection, task, state="sending").id, "sent")

    taken = claim(connection)

    assert [one.told.event for one in taken] == sorted(one.told.event for one in taken)
    assert [one.told.id for one in taken] == sorted(one.told.id for one in taken)


def test_a_change_of_state_outlives_the_removal_of_its_webhook(engine):
    with engine.begin() as connection:
        task = make_task(connection)
        webhook = hook(connection, task)
        message = make_message(connection, task, state="sending").id
    done = threading.Event()

    def send():
        with engine.begin() as connection:
            move(connection, message, "sent")
        done.set()

    with engine.begin() as connection:
        register.remove(connection, webhook)
        thread = threading.Thread(target=send)
        thread.start()
        assert not done.wait(0.2)  # it waits for what becomes of the webhook
    thread.join(10)

    with engine.begin() as connection:
        state = connection.execute(
            text("SELECT state FROM message WHERE id = :id"), {"id": message}
        ).scalar_one()
        connection.execute(text("DELETE FROM webhook_event"))
    assert state == "sent"


def test_old_events_go_and_what_is_still_to_be_told_stays(engine):
    with engine.begin() as connection:
        task = make_task(connection)
        webhook = hook(connection, task)
        for _ in range(3):
            move(connection, make_message(connection, task, state="sending").id, "sent")
        settle(connection, claim(connection, 1)[0], TAKEN)
        connection.execute(
            text("""
                UPDATE webhook_event SET at = now() - interval '31 days'
                WHERE id < (SELECT max(id) FROM webhook_event)""")
        )

    retention.retain(engine, load({}))

    with engine.begin() as connection:
        assert standing(connection, webhook) == ["waiting", "waiting"]
        connection.execute(text("DELETE FROM webhook_event"))
        register.remove(connection, webhook)


def test_a_webhook_that_nobody_tells_is_noticed(connection, task):
    webhook = hook(connection, task)
    move(connection, make_message(connection, task, state="sending").id, "sent")
    assert watch.facts(connection, timedelta(seconds=30)).webhooks == []

    connection.execute(text("UPDATE webhook_delivery SET next_at = now() - interval '6 minutes'"))
    (facts,) = watch.facts(connection, timedelta(seconds=30)).webhooks
    assert (facts.id, facts.host, facts.disabled_why) == (webhook.id, "prijem.firma.example", None)
    claim(connection)

    assert watch.facts(connection, timedelta(seconds=30)).webhooks == []


def test_secrets_lie_sealed_and_go_over_to_a_new_key(connection, task):
    webhook = hook(connection, task)
    register.rotate(connection, webhook, VAULT)
    row = connection.execute(text("SELECT * FROM webhook")).one()
    secrets = {VAULT.open(bytes(row.secret)), VAULT.open(bytes(row.secret_before))}
    assert all(one.startswith("whsec_") and len(one) == 50 for one in secrets)
    key = vault.new_key()

    class Both(Vault):
        def open(self, sealed):
            return VAULT.open(sealed)

    assert reseal_all(connection, Both([key])) == 2
    row = connection.execute(text("SELECT * FROM webhook")).one()
    assert {Vault([key]).open(bytes(one)) for one in (row.secret, row.secret_before)} == secrets


def test_every_change_is_in_the_audit_log_and_no_secret_is(connection, task):
    webhook = hook(connection, task)
    register.change(connection, webhook, [], {"events": ["failed"], "url": URL + "2"})
    secret = register.rotate(connection, webhook, VAULT)
    register.disable(connection, webhook)
    register.enable(connection, register.find(connection, task.company_id, webhook.id))
    register.remove(connection, webhook)

    query = text("SELECT * FROM audit_log WHERE subject = :subject ORDER BY id")
    entries = connection.execute(query, {"subject": f"webhook:{webhook.id}"}).all()

    actions = ["create", "change", "rotate secret", "disable", "enable", "remove"]
    assert [one.action for one in entries] == actions
    assert {one.who for one in entries} == {"jana"}
    assert secret not in str(entries)
    assert entries[0].after["secret"] == "sealed"


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"events": ["released"]}, "is no state that is told"),
        ({"events": []}, "no state that is told is given"),
        ({"channels": ["fax"]}, "is no channel"),
    ],
    ids=["a state on the way", "none", "no such channel"],
)
def test_a_webhook_hears_of_nothing_that_is_not_told(connection, task, chosen, words):
    with pytest.raises(RegisterError, match=words):
        hook(connection, task, **chosen)


def test_a_company_has_so_many_webhooks_and_no_more(connection, task):
    for _ in range(register.WEBHOOKS_MOST):
        hook(connection, task)

    with pytest.raises(register.TooMany):
        hook(connection, task)


def test_a_webhook_of_another_company_is_not_there(connection, task):
    webhook = hook(connection, task)

    with pytest.raises(register.NotThere):
        register.find(connection, make_task(connection).company_id, webhook.id)


def test_another_url_is_told_at_once_what_the_one_before_did_not_take(connection, task):
    webhook = hook(connection, task)
    move(connection, make_message(connection, task, state="sending").id, "sent")
    settle(connection, claim(connection)[0], REFUSED)
    assert claim(connection, failing=True) == []

    register.change(connection, webhook, [], {"url": URL + "2"})

    (taken,) = claim(connection)
    assert (taken.url, taken.attempts) == (URL + "2", 1)


def test_a_delivery_that_was_taken_can_be_replayed_and_one_that_is_not_there_cannot(
    connection, task
):
    webhook = hook(connection, task)
    move(connection, make_message(connection, task, state="sending").id, "sent")
    (first,) = claim(connection)
    settle(connection, first, TAKEN)

    replaying.replay(connection, webhook, first.told.event)
    (again,) = claim(connection)

    assert again.told.id == first.told.id
    with pytest.raises(register.NotThere):
        replaying.replay(connection, webhook, first.told.event + 1)


def test_a_listing_goes_from_page_to_page(connection, task):
    webhook = hook(connection, task)
    for _ in range(3):
        move(connection, make_message(connection, task, state="sending").id, "sent")
    settle(connection, claim(connection, 1)[0], TAKEN)

    newest = replaying.deliveries(connection, webhook.id, most=2)
    rest = replaying.deliveries(connection, webhook.id, before=newest[-1].id)
    waiting = replaying.deliveries(connection, webhook.id, undelivered=True)

    assert [row.standing for row in newest + rest] == ["waiting", "waiting", "delivered"]
    assert [row.id for row in waiting] == [row.id for row in newest]
    assert db.now(connection) > newest[0].at
