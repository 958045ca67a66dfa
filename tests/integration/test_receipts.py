"""Bounces and delivery reports, from the file to the message."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from models.states import MOVES, MessageState
from tests.support.bounces import acted, bounce, failed
from tests.support.command_line import CommandLine
from tests.support.kernel import attempt, change, message, recipients
from tests.support.rows import OPEN, make_attempt, make_message, make_task
from tests.support.shared_database import rolled_back, shared_engine
from worker import db
from worker.core.outcomes import Outcome
from worker.core.receipts import Action, read_report
from worker.outbox import claims, leases, people, receipts, settling
from worker.outbox.answers import Answer, RecipientAnswer

ANNA, EVA = "anna@ina.example", "eva@ina.example"
BOTH = [ANNA, EVA]


@pytest.fixture(scope="module")
def shared(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def connection(shared):
    with rolled_back(shared, "Eva") as connection:
        yield connection


@pytest.fixture
def task(connection):
    return make_task(connection)


def handed_over(connection, task, state="sent", to=(ANNA,), outcome="accepted", **columns):
    """A message of which an attempt may have gone."""
    made = make_message(connection, task, recipients=to, state=state, **columns)
    if state != "sending":
        make_attempt(connection, task, made.id, state=outcome)
    return made


def take(connection, made, *groups, **more):
    report = bounce(*groups, message_id=message(connection, made.id).message_id, **more)
    return receipts.take(connection, read_report(report, "bounce"))


def stored(connection, made):
    query = text("SELECT * FROM receipt WHERE message_id = :id ORDER BY id")
    return connection.execute(query, {"id": made.id}).all()


def set_recipients(connection, made, *states):
    query = text("UPDATE recipient SET state = :s WHERE message_id = :id AND position = :p")
    for position, state in enumerate(states):
        connection.execute(query, {"s": state, "id": made.id, "p": position})


@pytest.mark.parametrize("state", ["sent", "unknown"])
@pytest.mark.parametrize(
    ("action", "becomes"),
    [("failed", "undelivered"), ("delivered", "delivered"), ("relayed", "delivered")],
)
def test_a_receipt_settles_a_message_that_went_or_of_which_nobody_knew(
    connection, task, state, action, becomes
):
    made = handed_over(connection, task, state, outcome="unknown")

    taken = take(connection, made, acted(ANNA, action))

    row = message(connection, made.id)
    assert (taken.before, taken.after, row.state) == (state, becomes, becomes)
    assert recipients(connection, made.id) == [becomes]
    assert row.settled_at is not None
    assert row.why.startswith(f"receipt: {action}")


def test_a_receipt_is_kept_as_evidence_and_signed(connection, task):
    made = handed_over(connection, task, "unknown")

    take(connection, made, failed(ANNA))

    (one,) = stored(connection, made)
    assert (one.position, one.address, one.action, one.status) == (0, ANNA, "failed", "5.1.1")
    assert one.remote_mta == "mx.ina.example"
    assert one.diagnostic.endswith("rejected: User unknown")
    query = text("SELECT who, action, before, after FROM audit_log WHERE subject = :s")
    entries = connection.execute(query, {"s": f"message:{made.id}"}).all()
    assert [tuple(entry) for entry in entries] == [
        ("Eva", "receipt", {"state": "unknown"}, {"state": "undelivered", "receipts": ["failed"]})
    ]


def test_a_mail_that_is_late_is_evidence_only(connection, task):
    made = handed_over(connection, task, "unknown")

    take(connection, made, acted(ANNA, "delayed", "4.2.2"))

    assert message(connection, made.id).state == "unknown"
    assert [one.action for one in stored(connection, made)] == ["delayed"]


def test_a_mail_that_was_only_relayed_may_bounce_later_and_one_that_arrived_may_not(
    connection, task
):
    relayed, arrived = handed_over(connection, task), handed_over(connection, task)
    take(connection, relayed, acted(ANNA, "relayed"))
    take(connection, arrived, acted(ANNA, "delivered"))

    for made in (relayed, arrived):
        take(connection, made, failed(ANNA))

    assert message(connection, relayed.id).state == "undelivered"
    assert message(connection, arrived.id).state == "delivered"


def test_each_recipient_is_settled_by_its_own_receipt_and_the_message_by_all(connection, task):
    made = handed_over(connection, task, "unknown", BOTH)

    first = take(connection, made, failed(ANNA))
    second = take(connection, made, acted(EVA, "delivered"))

    assert (first.before, first.after) == ("unknown", "unknown")
    assert (second.before, second.after) == ("unknown", "delivered")
    assert recipients(connection, made.id) == ["undelivered", "delivered"]


def test_who_is_still_to_be_reached_is_once_the_unknown_one_is_settled(connection, task):
    made = handed_over(connection, task, "unknown", [ANNA, "eva@firma.example"])
    set_recipients(connection, made, "unknown", "pending")

    take(connection, made, failed(ANNA))

    row = message(connection, made.id)
    assert (row.state, row.cost, row.domain, row.domains) == ("ready", 1, "firma.example", None)


@pytest.mark.parametrize("state", ["ready", "held"])
def test_a_resend_is_not_made_once_a_bounce_shows_that_the_first_went(connection, task, state):
    made = handed_over(connection, task, state, outcome="unknown")
    change(connection, "message", made.id, unknowns=1)

    take(connection, made, failed(ANNA))

    assert message(connection, made.id).state == "undelivered"


def test_a_message_that_waits_for_others_costs_less_after_a_receipt(connection, task):
    made = handed_over(connection, task, "ready", BOTH, outcome="unknown")

    take(connection, made, acted(EVA, "delivered"))

    row = message(connection, made.id)
    assert (row.state, row.cost) == ("ready", 1)
    assert recipients(connection, made.id) == ["pending", "delivered"]


def test_a_message_that_never_went_is_not_settled_by_what_claims_to_be_its_bounce(connection, task):
    made = make_message(connection, task, recipients=[ANNA])

    take(connection, made, failed(ANNA))

    assert message(connection, made.id).state == "ready"
    assert len(stored(connection, made)) == 1


@pytest.mark.parametrize("action", ["failed", "delivered"])
def test_a_released_message_follows_its_receipt_at_the_claim(connection, task, action):
    made = handed_over(connection, task, "released", outcome="unknown")
    becomes = "undelivered" if action == "failed" else "delivered"

    taken = take(connection, made, acted(ANNA, action))
    assert (taken.before, taken.after) == ("released", "released")
    assert recipients(connection, made.id) == [becomes]

    claimed = claims.claim(
        connection,
        made.id,
        made.lease,
        server=task.server,
        worker="main/tests/1",
        deadline=timedelta(minutes=12),
    )

    assert claimed is None
    assert message(connection, made.id).state == becomes


@pytest.mark.parametrize(
    ("outcome", "becomes"),
    [(Outcome.ACCEPTED, "undelivered"), (Outcome.UNKNOWN, "undelivered")],
    ids=["answered", "never answered"],
)
def test_a_bounce_that_overtakes_the_answer_counts_when_the_message_is_settled(
    connection, task, outcome, becomes
):
    made = handed_over(connection, task, "sending")

    taken = take(connection, made, failed(ANNA))
    assert (taken.before, taken.after) == ("sending", "sending")
    if outcome is Outcome.UNKNOWN:
        settling.overtaken(connection, made.id, made.lease, "no answer")
    else:
        given = Answer(outcome, (RecipientAnswer(0, outcome, "250 ok"),), code=250)
        settling.settle(connection, made.lease, given, 0.0)

    assert message(connection, made.id).state == becomes
    assert attempt(connection, made.lease).state == outcome.value


def test_a_bounce_during_a_resend_waits_for_the_resend_s_own(connection, task):
    made = handed_over(connection, task, "sending")
    make_attempt(connection, task, made.id, state="unknown")

    take(connection, made, failed(ANNA))
    given = Answer(Outcome.ACCEPTED, (RecipientAnswer(0, Outcome.ACCEPTED),), code=250)

    assert settling.settle(connection, made.lease, given, 0.0) == "sent"


def test_a_claim_that_was_undone_after_a_receipt_leads_to_no_other_hand_over(connection, task):
    made = handed_over(connection, task, "sending")
    take(connection, made, failed(ANNA))
    settling.undo(connection, made.id, made.lease, "no permit now")
    (lease,) = leases.lease(connection, task.id, [made.id], timedelta(minutes=2))

    claimed = claims.claim(
        connection,
        made.id,
        lease.token,
        server=task.server,
        worker="main/tests/1",
        deadline=timedelta(minutes=12),
    )

    assert claimed is None
    assert message(connection, made.id).state == "undelivered"


def test_a_bounced_message_can_be_sent_again_by_a_person(connection, task):
    made = handed_over(connection, task)
    take(connection, made, failed(ANNA))

    moved = people.resend(connection, made.id)

    assert (moved.before, moved.after) == ("undelivered", "ready")
    assert recipients(connection, made.id) == ["pending"]


def test_an_answer_that_comes_after_the_receipt_only_closes_its_attempt(connection, task):
    made = handed_over(connection, task, "sending")
    settling.overtaken(connection, made.id, made.lease, "no answer")
    take(connection, made, failed(ANNA))

    given = Answer(Outcome.ACCEPTED, (RecipientAnswer(0, Outcome.ACCEPTED),), code=250)
    settling.settle(connection, made.lease, given, 0.0)

    assert message(connection, made.id).state == "undelivered"
    assert attempt(connection, made.lease).state == "accepted"


def test_mail_that_was_forwarded_is_the_only_recipient_s_and_of_several_nobody_s(connection, task):
    single = handed_over(connection, task)
    several = handed_over(connection, task, to=BOTH)

    taken = take(connection, single, failed("anna.mala@doma.example"))
    take(connection, several, failed("anna.mala@doma.example"))

    assert taken.receipts[0].forwarded
    assert recipients(connection, single.id) == ["undelivered"]
    assert recipients(connection, several.id) == ["sent", "sent"]
    assert [one.position for one in stored(connection, several)] == [None]


@pytest.mark.parametrize("written", ["ANNA@Ina.Example", "<anna@ina.example>"])
def test_an_address_is_known_however_it_is_written(connection, task, written):
    made = handed_over(connection, task, to=BOTH)

    take(connection, made, failed(written))

    assert recipients(connection, made.id) == ["undelivered", "sent"]


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("state", MessageState)
def test_no_receipt_in_any_state_breaks_a_rule_of_the_database(connection, task, state, action):
    made = handed_over(connection, task, state, BOTH, outcome="unknown")
    if state != "sending":
        change(connection, "message", made.id, task_id=task.id)

    taken = take(connection, made, acted(ANNA, action), acted(EVA, action))

    row = message(connection, made.id)
    assert row.state == taken.after
    assert taken.after == state or taken.after in MOVES[state]
    assert (row.settled_at is None) == (row.state in OPEN)
    if state in ("released", "sending", "cancelled", "expired"):
        assert row.state == state


REPORTS = st.lists(
    st.lists(st.tuples(st.sampled_from(BOTH), st.sampled_from(Action)), min_size=1, max_size=3),
    max_size=4,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(REPORTS, st.sampled_from(["sent", "unknown", "ready", "released", "sending", "held"]))
def test_taking_the_same_reports_again_changes_nothing(shared, reports, state):
    with rolled_back(shared, "Eva") as connection:
        task = make_task(connection)
        made = handed_over(connection, task, state, BOTH, outcome="unknown")

        def take_all():
            for number, groups in enumerate(reports):
                fields = [acted(address, action) for address, action in groups]
                take(connection, made, *fields, report_id=f"<{number}@relay.firma.example>")
            row = message(connection, made.id)
            query = text("SELECT count(*) FROM audit_log")
            entries = connection.execute(query).scalar_one()
            return row, recipients(connection, made.id), stored(connection, made), entries

        assert take_all() == take_all()


def test_two_that_take_the_same_report_at_once_take_it_once(engine):
    with engine.begin() as connection:
        made = handed_over(connection, make_task(connection), "unknown")
        octets = bounce(failed(ANNA), message_id=message(connection, made.id).message_id)

    def take_it(_):
        with db.transaction(engine) as connection:
            return receipts.take(connection, read_report(octets, "bounce")).new

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(take_it, range(2))) == [False, True]


def test_of_a_message_id_that_is_nobody_s_nothing_is_taken(connection):
    assert receipts.take(connection, read_report(bounce(failed(ANNA)), "bounce")) is None


# The command.


@pytest.fixture
def kadencia(database_url, tmp_path):
    return CommandLine(tmp_path, DATABASE_URL=database_url)


@pytest.fixture
def made(engine):
    with engine.begin() as connection:
        made = handed_over(connection, make_task(connection), "unknown")
        change(connection, "message", made.id, message_id="<7f0a@firma.example>")
        return made


@pytest.fixture
def report(tmp_path):
    file = tmp_path / "bounce.eml"
    file.write_bytes(bounce(failed(ANNA)))
    return str(file)


def test_a_file_is_taken_in_and_shown_with_its_message(kadencia, made, report):
    ended = kadencia.done("mail", "receipt", report)
    again = kadencia.done("mail", "receipt", report)
    shown = kadencia.done("mail", "show", str(made.id))

    assert f"message {made.id}: unknown → undelivered (Nedoručené)" in ended.out
    assert "User unknown" in ended.out
    assert (
        "undelivered (Nedoručené); this report was taken in before, nothing was changed"
        in again.out
    )
    assert "receipts" in shown.out
    assert "550 5.1.1 <anna@ina.example>" in shown.out
    (receipt,) = kadencia.done("mail", "show", str(made.id), "--json").json["receipts"]
    assert (receipt["action"], receipt["status"]) == ("failed", "5.1.1")


def test_standard_input_is_taken_in(kadencia, made, report, tmp_path):
    octets = (tmp_path / "bounce.eml").read_bytes()

    ended = kadencia("mail", "receipt", "-", "--json", stdin=octets.decode())

    assert ended.code == 0, ended.err
    assert [one["state"] for one in ended.json] == ["undelivered"]


def test_an_address_that_is_none_is_barred_where_that_is_asked_for(kadencia, made, report):
    kadencia.done("mail", "receipt", report)
    assert kadencia.done("suppression", "list").out.strip() == "none"

    ended = kadencia.done("mail", "receipt", report, "--suppress")

    assert "anna@ina.example is suppressed from now on" in ended.out
    assert "bounced: 5.1.1" in kadencia.done("suppression", "list").out


@pytest.mark.parametrize(
    "group",
    [failed(ANNA, "5.7.1"), acted(ANNA, "delayed", "4.1.1"), failed("anna@doma.example")],
    ids=["refused for another reason", "late", "forwarded to another address"],
)
def test_an_address_that_may_be_right_is_never_barred(kadencia, made, tmp_path, group):
    (tmp_path / "b.eml").write_bytes(bounce(group))

    kadencia.done("mail", "receipt", str(tmp_path / "b.eml"), "--suppress")

    assert kadencia.done("suppression", "list").out.strip() == "none"


def test_a_report_about_a_mail_of_others_is_said_so_and_changes_nothing(kadencia, engine, report):
    ended = kadencia("mail", "receipt", report)

    assert ended.code == 1
    assert "no message has the Message-ID <7f0a@firma.example>; nothing was changed" in ended.err
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM receipt")).scalar_one() == 0


def test_a_file_that_is_no_report_is_said_so_and_the_others_are_taken(
    kadencia, made, report, tmp_path
):
    (tmp_path / "letter.eml").write_text("From: a@ina.example\n\nAhoj")

    alone = kadencia("mail", "receipt", str(tmp_path / "letter.eml"), str(tmp_path / "none.eml"))
    both = kadencia("mail", "receipt", str(tmp_path / "letter.eml"), report)

    assert (alone.code, both.code) == (2, 1)
    assert "letter.eml: holds no part message/delivery-status (RFC 3464)" in alone.err
    assert "none.eml cannot be read: No such file" in alone.err
    assert "unknown → undelivered" in both.out
