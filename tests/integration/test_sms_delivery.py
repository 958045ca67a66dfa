"""Sending one SMS through the gateway's emulator: what each answer makes of it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import insert, text

from models.sms import EurosmsPrice
from tests.support.emulator import KEY, EmulatorProcess
from tests.support.kernel import attempts, change, make_settings, make_throttle, message, recipients
from tests.support.office import closed_port
from tests.support.rows import make_company, make_eurosms_account, make_sms, make_sms_task
from worker.delivery.sms import SmsDelivery
from worker.outbox import overdue, sms_polls
from worker.vault import Vault

VAULT = Vault([Fernet.generate_key().decode()])
SEALED = VAULT.seal(KEY)
NUMBER = "+421901000001"


class Office:
    """One sending process and a gateway."""

    def __init__(self, engine, throttle, emulator):
        self.engine, self.throttle, self.emulator = engine, throttle, emulator
        self.delivery = SmsDelivery(engine, throttle, VAULT, make_settings(), "main", "main/t/1")

    def task(self, account=None, **columns):
        with self.engine.begin() as connection:
            company = make_company(connection)
            of = {
                "base_url": self.emulator.url,
                "integration_id": "2-A2gHjk",
                "key": SEALED,
                "answer_timeout": 1.0,
                "price": Decimal("0.05"),
                **(account or {}),
            }
            made = make_eurosms_account(connection, company, **of)
            return make_sms_task(connection, company, made, **columns)

    def send(self, task, number=NUMBER, **columns):
        with self.engine.begin() as connection:
            made = make_sms(connection, task, number=number, state="released", **columns)
        self.delivery.send(made.id, made.lease)
        return made

    def row(self, made):
        with self.engine.connect() as connection:
            return message(connection, made.id)

    def sms(self, made):
        with self.engine.connect() as connection:
            query = text("SELECT * FROM sms WHERE message_id = :id")
            return connection.execute(query, {"id": made.id}).one()

    def attempts(self, made):
        with self.engine.connect() as connection:
            return attempts(connection, made.id)

    def recipient(self, made):
        with self.engine.connect() as connection:
            [state] = recipients(connection, made.id)
            return state

    def task_row(self, task):
        with self.engine.connect() as connection:
            query = text("SELECT * FROM automatic_task WHERE id = :id")
            return connection.execute(query, {"id": task.id}).one()

    def spent(self, task):
        with self.engine.connect() as connection:
            query = text("SELECT coalesce(sum(spent), 0) FROM sms_spend WHERE task_id = :id")
            return connection.execute(query, {"id": task.id}).scalar_one()


@pytest.fixture(scope="module")
def emulator():
    with EmulatorProcess("--report-after", "60") as running:
        yield running


@pytest.fixture
def office(engine, redis_url, emulator):
    emulator.misbehave()
    made = Office(engine, make_throttle(engine, redis_url, make_settings()), emulator)
    yield made
    made.delivery.close()


def test_an_accepted_sms_is_sent_with_its_own_key_and_its_segments_are_known(office):
    task = office.task()

    made = office.send(task, text="ž" * 80)

    [kept] = [one for one in office.emulator.records() if one["f"] == office.row(made).message_id]
    [attempt] = office.attempts(made)
    assert (office.row(made).state, office.recipient(made)) == ("sent", "sent")
    assert (attempt.state, attempt.phase) == ("accepted", "post")
    assert attempt.text.startswith("ENQUEUED")
    assert kept["number"] == NUMBER.removeprefix("+")
    assert kept["text"] == "ž" * 80
    sms = office.sms(made)
    assert (sms.awaited, sms.sent_at) == (True, attempt.closed_at)
    with office.engine.connect() as connection:
        query = text("SELECT uuid FROM sms_segment WHERE message_id = :id ORDER BY number")
        known = list(connection.execute(query, {"id": made.id}).scalars())
    assert known == [one.lower() for one in kept["uuids"]]
    assert len(known) == 2


def test_an_sms_costs_its_segments_under_the_throttle_and_its_price_under_the_budget(office):
    task = office.task(budget_day=Decimal("1"))

    office.send(task, text="ž" * 80)

    log = office.throttle.client.zcard(f"kadencia:throttle:task:{task.id}")
    assert log == 2
    assert office.spent(task) == Decimal("0.10")


@pytest.mark.parametrize(
    "code", ["NO_BALANCE", "WRONG_IID", "WRONG_SIGNATURE", "NO_SGN", "NO_IID", "WRONG_KEY"]
)
def test_what_no_sms_can_pass_pauses_the_task_and_charges_no_attempt(office, code):
    task = office.task(budget_day=Decimal("1"))
    office.emulator.misbehave({"kind": "refuse", "code": code})

    made = office.send(task)

    row, stopped = office.row(made), office.task_row(task)
    assert (row.state, row.attempts) == ("ready", 0)
    assert not stopped.active
    assert code in stopped.paused_why
    [attempt] = office.attempts(made)
    assert attempt.state == "deferred"
    assert office.spent(task) == 0


def test_a_wrong_number_fails_that_sms_only(office):
    task = office.task()
    office.emulator.misbehave({"kind": "refuse", "code": "WRONG_NUMBER", "times": 1})

    refused, taken = office.send(task), office.send(task)

    assert office.row(refused).state == "failed"
    assert "WRONG_NUMBER" in office.row(refused).why
    assert office.row(taken).state == "sent"
    assert office.task_row(task).active


@pytest.mark.parametrize(
    ("sender", "state", "active"),
    [
        pytest.param("Akcia", "failed", True, id="of the sms"),
        pytest.param(None, "ready", False, id="of the task"),
    ],
)
def test_a_sender_that_is_not_allowed_stops_what_it_is_the_sender_of(office, sender, state, active):
    task = office.task()
    office.emulator.misbehave({"kind": "refuse", "code": "WRONG_SENDER"})

    made = office.send(task, sms={"sender": sender})

    assert office.row(made).state == state
    assert office.task_row(task).active is active


@pytest.mark.parametrize("code", ["ERR_OTHER", "SOMETHING_NEW"])
def test_a_refusal_for_now_is_tried_again_later_and_its_word_is_kept(office, code):
    task = office.task()
    office.emulator.misbehave({"kind": "refuse", "code": code, "times": 1})

    made = office.send(task)

    row = office.row(made)
    assert (row.state, row.attempts) == ("ready", 1)
    assert code in row.why
    assert row.not_before > row.created_at
    assert office.spent(task) == 0


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"kind": "drop-after-accept", "times": 1}, id="no answer"),
        pytest.param({"kind": "slow", "seconds": 3, "times": 1}, id="an answer too late"),
        pytest.param({"kind": "truncated", "times": 1}, id="half an answer"),
        pytest.param({"kind": "cut-off", "times": 1}, id="an answer cut off"),
        pytest.param({"kind": "html", "times": 1, "carry_out": True}, id="a page for people"),
        pytest.param({"kind": "error-json", "times": 1, "carry_out": True}, id="a 500 in JSON"),
        pytest.param({"kind": "error-html", "times": 1, "carry_out": True}, id="a 500 in HTML"),
    ],
)
def test_a_post_without_an_answer_is_unknown_and_is_not_sent_again(office, fault):
    task = office.task(unknown_policy="resend", budget_day=Decimal("1"))
    office.emulator.misbehave(fault)

    made = office.send(task)
    with office.engine.begin() as connection:
        resent = overdue.resend_silent(connection)

    row = office.row(made)
    assert (row.state, row.unknowns, office.recipient(made)) == ("unknown", 1, "unknown")
    assert resent == []
    assert office.spent(task) == Decimal("0.05")
    assert sum(one["f"] == row.message_id for one in office.emulator.records()) == 1


def test_an_unknown_sms_is_held_for_its_hours_and_then_follows_the_policy(office):
    office.emulator.misbehave({"kind": "drop-before-reading", "times": 2})
    resending = office.task(unknown_policy="resend", unknown_hours=24)
    holding = office.task(unknown_policy="hold")
    made, held = office.send(resending), office.send(holding)
    with office.engine.begin() as connection:
        connection.execute(text("UPDATE attempt SET closed_at = closed_at - interval '25 hours'"))
        sms_polls.ensure(connection, office.emulator.url, "2-A2gHjk")
        connection.execute(text("UPDATE eurosms_poll SET polled_at = now()"))

    with office.engine.begin() as connection:
        resent = overdue.resend_silent(connection)

    assert resent == [made.id]
    assert (office.row(made).state, office.row(held).state) == ("ready", "unknown")
    assert office.recipient(made) == "pending"


def test_a_gateway_that_cannot_be_reached_costs_no_attempt_and_is_left_alone(office):
    with closed_port() as port:
        task = office.task({"base_url": f"http://127.0.0.1:{port}"}, budget_day=Decimal("1"))

        made = office.send(task)

    row = office.row(made)
    assert (row.state, row.attempts) == ("ready", 0)
    assert [one.state for one in office.attempts(made)] == ["void"]
    assert office.spent(task) == 0
    assert office.throttle.client.zcard(f"kadencia:throttle:task:{task.id}") == 0
    with office.engine.connect() as connection:
        query = text("SELECT breaker_failures FROM account WHERE id = :id")
        assert connection.execute(query, {"id": task.account_id}).scalar_one() == 1


def test_a_budget_that_is_too_small_sends_nothing_and_has_the_task_wait(office):
    task = office.task(budget_day=Decimal("0.12"))

    sent = [office.send(task) for _ in range(3)]

    assert [office.row(one).state for one in sent] == ["sent", "sent", "ready"]
    assert office.row(sent[-1]).attempts == 0
    with office.engine.connect() as connection:
        query = text("SELECT exhausted_until > now() FROM sms_task WHERE task_id = :id")
        assert connection.execute(query, {"id": task.id}).scalar_one()


def test_where_no_price_of_a_country_is_known_a_budget_counts_the_dearest_of_all(office):
    task = office.task({"price": None}, budget_day=Decimal("0.12"))
    with office.engine.begin() as connection:
        for code, price in (("+420", "0.03"), ("+43", "0.07")):
            values = {"account_id": task.account_id, "calling_code": code, "operator": ""}
            connection.execute(insert(EurosmsPrice).values(price=Decimal(price), **values))

    sent = [office.send(task) for _ in range(2)]

    assert [office.row(one).state for one in sent] == ["sent", "ready"]
    assert office.spent(task) == Decimal("0.07")


@pytest.mark.parametrize(
    ("columns", "flags", "words"),
    [
        pytest.param({"text": "č"}, {"diacritics": False}, "diacritics", id="diacritics"),
        pytest.param({"text": "a" * 161}, {"long_texts": False}, "2 segments", id="length"),
    ],
)
def test_a_text_that_the_task_s_flags_do_not_allow_any_more_fails(office, columns, flags, words):
    task = office.task(**flags)

    made = office.send(task, **columns)

    assert office.row(made).state == "failed"
    assert words in office.row(made).why


@pytest.mark.parametrize(
    ("mode", "states"),
    [
        pytest.param({"allowed": [NUMBER]}, ("held", "sent"), id="only allowed numbers"),
        pytest.param({"redirect_to": "test@firma.example"}, ("held", "held"), id="redirected"),
    ],
)
def test_the_safety_mode_holds_sms(office, mode, states):
    task = office.task()
    with office.engine.begin() as connection:
        change(connection, "installation", 1, **mode)

    made = office.send(task, number="+421901000002"), office.send(task)

    assert tuple(office.row(one).state for one in made) == states


def test_a_suppressed_number_gets_nothing(office):
    task = office.task()
    with office.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO suppression VALUES (:company, :number, 'asked by SMS')"),
            {"company": task.company_id, "number": NUMBER},
        )

    made = office.send(task)

    assert office.row(made).state == "suppressed"
    assert office.attempts(made) == []
