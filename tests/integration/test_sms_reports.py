"""Delivery reports, from the gateway's words to the SMS, and SMS that come in."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from models.states import MOVES, MessageState
from tests.support.kernel import attempt, change, message, recipients
from tests.support.rows import (
    make_attempt,
    make_company,
    make_eurosms_account,
    make_segment,
    make_sms,
    make_sms_task,
)
from tests.support.shared_database import rolled_back, shared_engine
from worker.core.outcomes import Outcome
from worker.core.sms_reports import Inbound, Report
from worker.outbox import people, settling, sms_money, sms_reports, sms_segments
from worker.outbox.answers import Answer, RecipientAnswer
from worker.outbox.settling import settle

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CENTS = Decimal("0.0300")
LONG = "Vaša zásielka je pripravená na prevzatie. " * 3
FINAL = ("delivered", "undelivered")


@pytest.fixture(scope="module")
def shared(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def connection(shared):
    with rolled_back(shared, "gateway") as connection:
        yield connection


@pytest.fixture
def task(connection):
    return make_sms_task(connection)


def name():
    return str(uuid.uuid4())


def said(status, of=None, minutes=1, **more):
    values = {
        "uuid": of,
        "own_key": None,
        "number": "421903622237",
        "segment": 1,
        "done_at": NOON + timedelta(minutes=minutes),
        "sent_at": NOON,
        "operator": "231.1",
        "price": None,
        "err_code": "OK",
        **more,
    }
    return Report(status=status, **values)


def store(connection, task, *reports, source="any"):
    return sms_reports.store(connection, task.account_id, source, reports)


def key_of(connection, made):
    return message(connection, made.id).message_id


def handed_over(connection, task, state="sent", outcome=None, ago=60, **columns):
    """An SMS with one attempt, and its id; accepted ones have a segment at the gateway."""
    made = make_sms(connection, task, state=state, **columns)
    outcome = outcome or ("unknown" if state == "unknown" else "accepted")
    return made, add_attempt(connection, task, made, outcome, ago)


def add_attempt(connection, task, made, outcome, ago=30, **columns):
    at = datetime.now(UTC) - timedelta(seconds=ago)
    values = {"opened_at": at, "domains": {"+421": 1}, **columns}
    if outcome != "open":
        values["closed_at"] = at
    return make_attempt(connection, task, made.id, state=outcome, **values)


def sms(connection, made):
    query = text("SELECT * FROM sms WHERE message_id = :id")
    return connection.execute(query, {"id": made.id}).one()


def segments(connection, made):
    query = text("SELECT * FROM sms_segment WHERE message_id = :id ORDER BY number, uuid")
    return connection.execute(query, {"id": made.id}).all()


def audit(connection, made):
    query = text("SELECT before, after FROM audit_log WHERE subject = :s AND action = 'receipt'")
    rows = connection.execute(query, {"s": f"message:{made.id}"})
    return [(row.before["state"], row.after["state"]) for row in rows]


def kept(connection):
    return connection.execute(text("SELECT * FROM delivery_report ORDER BY id")).all()


@pytest.mark.parametrize(
    ("status", "state"),
    [("DELIVRD", "delivered"), ("SEEN", "delivered"), ("UNDELIV", "undelivered")],
)
def test_a_final_report_settles_a_sent_sms(connection, task, status, state):
    made, attempt_id = handed_over(connection, task)
    of = make_segment(connection, made.id, attempt_id=attempt_id)

    stored = store(connection, task, said(status, of, price=CENTS))

    row, shown = message(connection, made.id), sms(connection, made)
    assert (stored.new, stored.matched, stored.moved) == (1, 1, {made.id: state})
    assert (row.state, row.why) == (state, f"delivery report: {status}")
    assert recipients(connection, made.id) == [state]
    assert (shown.status, shown.operator, shown.price) == (status, "231.1", CENTS)
    assert (shown.awaited, shown.unconfirmed_at) == (False, None)
    assert audit(connection, made) == [("sent", state)]


def test_times_are_the_gateways_but_for_its_own_answer(connection, task):
    made, attempt_id = handed_over(connection, task)
    of = make_segment(connection, made.id, attempt_id=attempt_id)

    store(connection, task, said("DELIVRD", of, 2), said("SEEN", of, 9))

    shown = sms(connection, made)
    assert shown.sent_at == attempt(connection, attempt_id).closed_at
    assert shown.delivered_at == NOON + timedelta(minutes=2)
    assert shown.read_at == NOON + timedelta(minutes=9)


def test_a_report_on_the_way_leaves_it_sent_and_awaited(connection, task):
    made, attempt_id = handed_over(connection, task)
    of = make_segment(connection, made.id, attempt_id=attempt_id)

    store(connection, task, said("ENROUTE", of))

    assert message(connection, made.id).state == "sent"
    assert (sms(connection, made).awaited, sms(connection, made).status) == (True, "ENROUTE")
    assert audit(connection, made) == []


def test_the_same_reports_twice_are_kept_and_counted_once(connection, task):
    made, attempt_id = handed_over(connection, task)
    of = make_segment(connection, made.id, attempt_id=attempt_id, estimate=Decimal("0.05"))
    reports = [said("ENROUTE", of, 0), said("DELIVRD", of, price=CENTS)]
    store(connection, task, *reports)

    again = store(connection, task, *reversed(reports), source="push")

    assert (again.reports, again.new, again.matched, again.moved) == (2, 0, 0, {})
    assert len(kept(connection)) == 2
    assert len(audit(connection, made)) == 1


def test_segments_are_delivered_together_or_not_at_all(connection, task):
    made, attempt_id = handed_over(connection, task, text=LONG)
    first, second = (
        make_segment(connection, made.id, number, attempt_id=attempt_id) for number in (1, 2)
    )

    one = store(connection, task, said("DELIVRD", first, 3, price=CENTS))
    both = store(connection, task, said("DELIVRD", second, 5, price=CENTS, segment=2))

    assert (one.moved, both.moved) == ({}, {made.id: "delivered"})
    assert sms(connection, made).delivered_at == NOON + timedelta(minutes=5)
    assert sms(connection, made).price == 2 * CENTS


def test_a_uuid_that_all_segments_share_is_told_apart_by_their_numbers(connection, task):
    made, attempt_id = handed_over(connection, task, text=LONG)
    of = make_segment(connection, made.id, attempt_id=attempt_id)

    store(connection, task, said("DELIVRD", of), said("UNDELIV", of, segment=2))

    assert message(connection, made.id).state == "undelivered"
    assert [one.status for one in segments(connection, made)] == ["DELIVRD", "UNDELIV"]


def test_uuids_that_the_answer_lists_in_another_order_are_no_more_segments(connection, task):
    made, attempt_id = handed_over(connection, task, text=LONG)
    first, second = (
        make_segment(connection, made.id, number, attempt_id=attempt_id) for number in (1, 2)
    )

    store(connection, task, said("DELIVRD", first, segment=2), said("DELIVRD", second))

    assert message(connection, made.id).state == "delivered"
    assert len(segments(connection, made)) == 2


def test_delivered_stays_delivered_and_undelivered_may_still_be(connection, task):
    made, attempt_id = handed_over(connection, task)
    of = make_segment(connection, made.id, attempt_id=attempt_id)
    store(connection, task, said("UNKNOWN", of))
    assert message(connection, made.id).state == "undelivered"

    store(connection, task, said("DELIVRD", of, 2))
    store(connection, task, said("UNDELIV", of, 3))

    assert message(connection, made.id).state == "delivered"
    assert audit(connection, made) == [("sent", "undelivered"), ("undelivered", "delivered")]


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("ENROUTE", "sent"),
        ("PENDING", "sent"),
        ("DELIVRD", "delivered"),
        ("EXPIRED", "undelivered"),
    ],
)
def test_any_report_by_its_own_key_proves_that_an_unknown_sms_went(connection, task, status, state):
    made, attempt_id = handed_over(connection, task, "unknown")
    of, key = name(), key_of(connection, made)

    store(connection, task, said(status, of, own_key=key.upper()))

    row, [segment] = message(connection, made.id), segments(connection, made)
    assert (row.state, recipients(connection, made.id)) == (state, [state])
    assert (segment.uuid, segment.attempt_id) == (of, attempt_id)
    assert sms(connection, made).sent_at == NOON
    assert sms(connection, made).awaited == (state == "sent")
    assert audit(connection, made) == [("unknown", state)]


def test_a_part_of_an_unknown_sms_does_not_make_it_delivered(connection, task):
    made, _ = handed_over(connection, task, "unknown", text=LONG)
    key = key_of(connection, made)

    store(connection, task, said("DELIVRD", name(), own_key=key))
    assert message(connection, made.id).state == "sent"
    store(connection, task, said("DELIVRD", name(), own_key=key, segment=2))

    assert message(connection, made.id).state == "delivered"


def test_a_report_that_states_no_uuid_counts_by_its_segment(connection, task):
    made, _ = handed_over(connection, task, "unknown")
    key = key_of(connection, made)

    store(connection, task, said("ENROUTE", own_key=key), said("DELIVRD", own_key=key))

    assert message(connection, made.id).state == "delivered"
    assert len(segments(connection, made)) == 1


def test_a_report_without_uuid_and_key_is_about_nothing(connection, task):
    stored = store(connection, task, said("DELIVRD"))

    assert (stored.reports, stored.new, kept(connection)) == (1, 0, [])


def test_after_a_restore_that_lost_its_attempt_a_report_still_counts(connection, task):
    made = make_sms(connection, task, state="unknown")

    store(connection, task, said("DELIVRD", name(), own_key=key_of(connection, made)))

    assert message(connection, made.id).state == "delivered"
    assert segments(connection, made)[0].attempt_id is None
    assert sms(connection, made).sent_at == NOON


def test_without_a_time_of_its_own_an_unanswered_sms_was_sent_when_it_was_tried(connection, task):
    made, attempt_id = handed_over(connection, task, "unknown")

    store(connection, task, said("ENROUTE", name(), own_key=key_of(connection, made), sent_at=None))

    assert sms(connection, made).sent_at == attempt(connection, attempt_id).opened_at


def accepted(*uuids):
    answer = (RecipientAnswer(0, Outcome.ACCEPTED),)
    return Answer(Outcome.ACCEPTED, answer, text="ENQUEUED", uuids=uuids)


def test_a_report_before_the_settling_counts_with_it(connection, task):
    made = make_sms(connection, task, state="sending")
    of = name()
    early = store(connection, task, said("DELIVRD", of, price=CENTS))  # pushed: no own key
    assert (early.matched, kept(connection)[0].message_id) == (0, None)

    state = settle(connection, made.lease, accepted(of.upper()), 0.5)

    assert state == message(connection, made.id).state == "delivered"
    assert kept(connection)[0].message_id == made.id
    assert attempt(connection, made.lease).price == CENTS


def test_uuids_that_an_answer_in_doubt_names_are_known_again_when_a_report_is_pushed(
    connection, task
):
    made, of = make_sms(connection, task, state="sending"), name()
    change(connection, "attempt", made.lease, price=CENTS)
    doubt = (RecipientAnswer(0, Outcome.UNKNOWN),)
    settle(connection, made.lease, Answer(Outcome.UNKNOWN, doubt, uuids=(of,)), 0.5)
    assert message(connection, made.id).state == "unknown"

    assert store(connection, task, said("DELIVRD", of), source="push").matched == 1

    assert message(connection, made.id).state == "delivered"
    assert attempt(connection, made.lease).price == CENTS


def test_while_it_is_being_sent_only_its_segments_follow(connection, task):
    made = make_sms(connection, task, state="sending")
    of = name()

    store(connection, task, said("DELIVRD", of, own_key=key_of(connection, made)))
    assert message(connection, made.id).state == "sending"
    assert [one.attempt_id for one in segments(connection, made)] == [made.lease]

    assert settle(connection, made.lease, accepted(of), 0.5) == "delivered"
    assert [one.uuid for one in segments(connection, made)] == [of]


def test_a_report_kept_while_the_answer_was_committed_is_matched_later(connection, task):
    made, attempt_id = handed_over(connection, task)
    of = name()
    store(connection, task, said("DELIVRD", of))
    make_segment(connection, made.id, uuid=of, attempt_id=attempt_id)  # its add had not seen it

    matched = sms_reports.match_late(connection, timedelta(hours=1))

    assert (matched, message(connection, made.id).state) == (1, "delivered")
    assert sms_reports.match_late(connection, timedelta(hours=1)) == 0


def test_one_company_cannot_tell_of_the_sms_of_another(connection, task):
    made, attempt_id = handed_over(connection, task)
    of = make_segment(connection, made.id, attempt_id=attempt_id)
    stranger = make_sms_task(connection)

    lie = store(connection, stranger, said("UNDELIV", of, own_key=key_of(connection, made)))

    assert (lie.new, lie.matched, message(connection, made.id).state) == (1, 0, "sent")
    truth = store(connection, task, said("DELIVRD", of))
    assert truth.moved == {made.id: "delivered"}


def test_companies_that_share_an_integration_share_its_reports(connection, task):
    made, attempt_id = handed_over(connection, task)
    of = make_segment(connection, made.id, attempt_id=attempt_id)
    query = text("SELECT integration_id FROM eurosms_account WHERE account_id = :id")
    same = connection.execute(query, {"id": task.account_id}).scalar_one()
    other = make_eurosms_account(connection, make_company(connection), integration_id=same)

    stored = sms_reports.store(connection, other, "any", [said("DELIVRD", of)])

    assert stored.moved == {made.id: "delivered"}


def prepared_again(connection, made, then="ready"):
    """A person decides to send it once more."""
    query = text("SELECT state FROM message WHERE id = :id")
    was = connection.execute(query, {"id": made.id}).scalar_one()
    change(connection, "message", made.id, body_id=_any_body(connection))
    if was == "unknown":
        people.resolve_resend(connection, made.id)
    else:
        people.resend(connection, made.id, to_all=True)
    if then == "held":
        people.hold(connection, made.id)


def _any_body(connection):
    query = text("""
        INSERT INTO body (digest, text, template, size) VALUES ('\\x00', 'x', false, 1)
        ON CONFLICT (digest) DO UPDATE SET size = 1 RETURNING id""")
    return connection.execute(query).scalar_one()


@pytest.mark.parametrize("then", ["ready", "held"])
@pytest.mark.parametrize("status", ["ENROUTE", "DELIVRD", "UNDELIV"])
def test_a_first_report_on_an_unanswered_attempt_stops_its_resend(connection, task, then, status):
    made, _ = handed_over(connection, task, "unknown")
    prepared_again(connection, made, then)

    store(connection, task, said(status, name(), own_key=key_of(connection, made)))

    assert message(connection, made.id).state in ("sent", *FINAL)


@pytest.mark.parametrize("status", ["UNDELIV", "ENROUTE"])
def test_a_late_report_does_not_stop_a_resend_unless_it_says_delivered(connection, task, status):
    made, attempt_id = handed_over(connection, task)
    of = make_segment(connection, made.id, attempt_id=attempt_id)
    store(connection, task, said("EXPIRED", of))
    prepared_again(connection, made)

    store(connection, task, said(status, of, 7))
    assert message(connection, made.id).state == "ready"

    store(connection, task, said("DELIVRD", of, 8))
    assert message(connection, made.id).state == "delivered"


@pytest.mark.parametrize("then", ["ready", "held"])
def test_what_a_person_knew_does_not_stop_a_resend(connection, task, then):
    made, _ = handed_over(connection, task, "unknown")
    of, key = name(), key_of(connection, made)
    store(connection, task, said("UNDELIV", of, own_key=key))
    prepared_again(connection, made, then)
    past = text("UPDATE delivery_report SET at = at - interval '1 hour'")
    connection.execute(past)  # within one transaction the clock is no help

    store(connection, task, said("REJECTD", of, 7, own_key=key))

    assert message(connection, made.id).state == then


def test_an_sms_sent_once_more_to_one_who_has_it_goes_whatever_else_is_told(connection, task):
    made, attempt_id = handed_over(connection, task)
    of = make_segment(connection, made.id, attempt_id=attempt_id)
    store(connection, task, said("DELIVRD", of))
    prepared_again(connection, made)

    store(connection, task, said("SEEN", of, 9))

    assert message(connection, made.id).state == "ready"
    assert segments(connection, made)[0].read_at == NOON + timedelta(minutes=9)
    assert sms(connection, made).read_at is None  # what is to be sent was not read yet


def test_the_newest_attempt_decides_and_a_delivery_in_any_wins(connection, task):
    made, old = handed_over(connection, task, ago=600)
    new = add_attempt(connection, task, made, "accepted")
    first = make_segment(connection, made.id, attempt_id=old)
    second = make_segment(connection, made.id, attempt_id=new)

    store(connection, task, said("UNDELIV", first))
    assert message(connection, made.id).state == "sent"
    store(connection, task, said("UNDELIV", second))
    assert message(connection, made.id).state == "undelivered"
    store(connection, task, said("DELIVRD", first, 9))

    assert message(connection, made.id).state == "delivered"


def test_a_report_before_a_resend_says_nothing_of_an_attempt_without_answer(connection, task):
    made, old = handed_over(connection, task, "unknown", outcome="accepted", ago=600)
    first = make_segment(connection, made.id, attempt_id=old, status="UNDELIV")
    add_attempt(connection, task, made, "unknown")

    store(connection, task, said("ENROUTE", first, 0))
    assert message(connection, made.id).state == "unknown"
    store(connection, task, said("ENROUTE", name(), own_key=key_of(connection, made)))

    assert message(connection, made.id).state == "sent"


def test_a_report_taken_for_an_open_attempts_is_given_back_to_the_one_before(connection, task):
    made = make_sms(connection, task, state="sending")
    before = add_attempt(connection, task, made, "unknown", ago=600)
    of, mine = name(), name()
    store(connection, task, said("DELIVRD", of, own_key=key_of(connection, made)))

    settle(connection, made.lease, accepted(mine), 0.5)

    owners = {one.uuid: one.attempt_id for one in segments(connection, made)}
    assert owners == {of: before, mine: made.lease}
    assert message(connection, made.id).state == "delivered"


@pytest.mark.parametrize("status", ["DELIVRD", "ENROUTE"])
@pytest.mark.parametrize("end", [settling.undo, settling.fail])
def test_a_report_that_came_during_a_claim_counts_though_nothing_was_handed_over(
    connection, task, end, status
):
    made, before = handed_over(connection, task, "sending", outcome="unknown")
    store(connection, task, said(status, name(), own_key=key_of(connection, made)))

    end(connection, made.id, made.lease, "no connection")

    after = "delivered" if status == "DELIVRD" else "sent" if end is settling.undo else "failed"
    assert message(connection, made.id).state == after
    assert [one.attempt_id for one in segments(connection, made)] == [before]


def test_a_refused_attempt_had_no_reports_so_they_are_of_the_one_before(connection, task):
    made = make_sms(connection, task, state="sending")
    before = add_attempt(connection, task, made, "unknown", ago=600)
    store(connection, task, said("ENROUTE", name(), own_key=key_of(connection, made)))
    refused = Answer(Outcome.DEFERRED, (RecipientAnswer(0, Outcome.DEFERRED),), text="ERR_OTHER")

    assert settle(connection, made.lease, refused, 0.5) == "sent"

    assert [one.attempt_id for one in segments(connection, made)] == [before]


@pytest.mark.parametrize("state", ["failed", "expired", "cancelled", "suppressed"])
@pytest.mark.parametrize("status", ["ENROUTE", "UNDELIV", "DELIVRD"])
def test_an_sms_that_ended_otherwise_moves_only_to_delivered(connection, task, state, status):
    made, _ = handed_over(connection, task, state, outcome="unknown")

    store(connection, task, said(status, name(), own_key=key_of(connection, made)))

    may = status == "DELIVRD" and MessageState.DELIVERED in MOVES[MessageState(state)]
    assert message(connection, made.id).state == ("delivered" if may else state)
    assert sms(connection, made).status == status


def spent(connection, task):
    query = text("SELECT sum(spent) FROM sms_spend WHERE task_id = :id")
    return connection.execute(query, {"id": task.id}).scalar()


def charge(connection, task, at, amount):
    query = text("""
        INSERT INTO sms_spend SELECT :task,
            CAST(CAST(:at AS timestamptz) AT TIME ZONE 'Europe/Bratislava' AS date), :amount""")
    connection.execute(query, {"task": task.id, "at": at, "amount": amount})


def test_a_price_that_is_told_replaces_its_estimate_in_the_budget(connection, task):
    made, attempt_id = handed_over(connection, task, text=LONG)
    change(connection, "attempt", attempt_id, price=Decimal("0.1000"))
    charge(connection, task, attempt(connection, attempt_id).opened_at, Decimal("1.0000"))
    half = Decimal("0.0500")
    first, second = (
        make_segment(connection, made.id, number, attempt_id=attempt_id, estimate=half)
        for number in (1, 2)
    )

    store(connection, task, said("ENROUTE", first, price=CENTS))

    assert attempt(connection, attempt_id).price == Decimal("0.0800")
    assert spent(connection, task) == Decimal("0.9800")
    store(connection, task, said("ENROUTE", second, price=CENTS, segment=2))
    assert spent(connection, task) == Decimal("0.9600")
    query = text("SELECT calling_code, operator, price FROM eurosms_price WHERE account_id = :id")
    seen = connection.execute(query, {"id": task.account_id}).all()
    assert [tuple(one) for one in seen] == [("+421", "231.1", CENTS)]


def test_of_an_unanswered_attempt_unreported_segments_stay_estimated(connection, task):
    made, attempt_id = handed_over(connection, task, "unknown", text=LONG)
    change(connection, "attempt", attempt_id, price=Decimal("0.1000"), cost=2)
    key = key_of(connection, made)

    store(connection, task, said("ENROUTE", name(), own_key=key, price=CENTS))

    assert attempt(connection, attempt_id).price == Decimal("0.0800")
    store(connection, task, said("ENROUTE", name(), own_key=key, price=CENTS, segment=2))
    assert attempt(connection, attempt_id).price == Decimal("0.0600")
    assert spent(connection, task) == 0


def test_an_older_report_does_not_bring_an_older_price_back(connection, task):
    made, attempt_id = handed_over(connection, task)
    newer = make_segment(connection, made.id, attempt_id=attempt_id)
    store(connection, task, said("DELIVRD", newer, 9, price=Decimal("0.0400")))
    other, other_attempt = handed_over(connection, task)
    older = make_segment(connection, other.id, attempt_id=other_attempt)

    store(connection, task, said("DELIVRD", older, 1, price=CENTS))

    query = text("SELECT price FROM eurosms_price WHERE account_id = :id")
    assert connection.execute(query, {"id": task.account_id}).scalar_one() == Decimal("0.0400")


def test_nothing_to_correct_touches_nothing(connection, task):
    sms_money.correct(connection, [])

    assert spent(connection, task) is None


def test_following_an_email_or_nothing_does_nothing(connection, task):
    assert sms_segments.follow(connection, 10**9) is None


def came_in(words, sender="421903622237", **more):
    values = {"uuid": name(), "recipient": "421902000000", "received_at": NOON, **more}
    return Inbound(sender=sender, text=words, **values)


def suppressed(connection, task):
    query = text("SELECT address, why FROM suppression WHERE company_id = :id")
    return {row.address: row.why for row in connection.execute(query, {"id": task.company_id})}


def test_whoever_answers_stop_is_suppressed_with_the_companys_time(connection, task):
    sms_in = came_in("Stop, prosím")

    assert sms_reports.inbound(connection, task.account_id, sms_in)

    assert suppressed(connection, task) == {"+421903622237": "asked by SMS on 2026-03-01 13:00"}
    query = text("SELECT who, after FROM audit_log WHERE action = 'suppress'")
    [entry] = connection.execute(query).all()
    assert (entry.who, entry.after["addresses"]) == ("gateway", ["+421903622237"])


@pytest.mark.parametrize(
    "sender", ["+421903622237", "00421903622237", "0903622237", "+421 903 622 237"]
)
def test_whoever_answers_stop_is_suppressed_however_the_number_is_written(connection, task, sender):
    sms_reports.inbound(connection, task.account_id, came_in("STOP", sender=sender))

    assert list(suppressed(connection, task)) == ["+421903622237"]


def test_any_other_answer_is_kept_and_suppresses_nobody(connection, task):
    assert sms_reports.inbound(connection, task.account_id, came_in("Ďakujem"))

    assert suppressed(connection, task) == {}
    [row] = connection.execute(text("SELECT * FROM inbound_sms")).all()
    assert (row.sender, row.text, row.stop) == ("421903622237", "Ďakujem", False)


def test_an_answer_pushed_again_does_not_undo_what_a_person_has_decided_since(connection, task):
    sms_in = came_in("STOP")
    sms_reports.inbound(connection, task.account_id, sms_in)
    connection.execute(text("DELETE FROM suppression"))

    assert not sms_reports.inbound(connection, task.account_id, sms_in)

    assert suppressed(connection, task) == {}


def test_a_sender_that_is_a_name_cannot_be_suppressed(connection, task):
    assert sms_reports.inbound(connection, task.account_id, came_in("STOP", sender="Banka"))

    assert suppressed(connection, task) == {}


def test_pushes_polls_and_answers_at_once_lose_no_report_and_charge_each_once(engine):
    with engine.begin() as connection:
        task = make_sms_task(connection)
        made = [make_sms(connection, task, state="sending") for _ in range(24)]
        keys = {one: key_of(connection, one) for one in made}
        for one in made:
            change(connection, "attempt", one.lease, price=Decimal("0.0500"))
        charge(connection, task, datetime.now(UTC), 24 * Decimal("0.0500"))
    names = {one: name() for one in made}

    def push(one):
        with engine.begin() as connection:
            store(connection, task, said("DELIVRD", names[one], price=CENTS), source="push")

    def poll(some):
        with engine.begin() as connection:
            reports = [said("ENROUTE", names[one], 0, own_key=keys[one]) for one in some]
            store(connection, task, *reports)

    def answer(one):
        with engine.begin() as connection:
            settle(connection, one.lease, accepted(names[one]), 0.5)

    with ThreadPoolExecutor(6) as pool:
        work = [pool.submit(poll, made[at::-3]) for at in (23, 22, 21)]
        for one in made:
            work += [pool.submit(answer, one), pool.submit(push, one), pool.submit(push, one)]
        for done in work:
            done.result()

    with engine.begin() as connection:
        sms_reports.match_late(connection, timedelta(hours=1))
    with engine.begin() as connection:
        assert {message(connection, one.id).state for one in made} == {"delivered"}
        assert all(report.message_id is not None for report in kept(connection))
        assert spent(connection, task) == 24 * CENTS
