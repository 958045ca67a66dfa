"""Sending while PostgreSQL is away: no answer is lost, nothing is sent twice."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError

from tests.faults.line import Rule, Switchboard
from tests.support.kernel import make_delivery, make_settings, make_throttle
from tests.support.office import Office
from tests.support.process_table import wait_until
from tests.support.shared_database import shared_engine
from tests.support.sink import SinkProcess
from worker import db
from worker.delivery.patience import persist

ROUTE, CLAIM, BODY, SETTLE = 1, 2, 3, 4
"""The commits of one sending, in their order."""


@pytest.fixture(scope="module")
def sink():
    with SinkProcess(faults=["slow:slow@*:0.5"]) as running:
        yield running


@pytest.fixture(scope="module")
def engine(services):
    services.flush_valkey()  # another database's tasks had the same numbers
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def lines(engine):
    board = Switchboard()
    yield board.line_to("sending", engine.url.render_as_string(hide_password=False))
    board.close()


@pytest.fixture
def line(lines):
    """To the database, as the sending process has it."""
    return lines[0]


@pytest.fixture
def office(engine, services, sink, lines):
    """An office whose sending process reaches the database by way of the line."""
    throttle = make_throttle(engine, services.valkey_url(), make_settings())
    office = Office(engine, throttle, sink)
    by_line = db.make_engine(lines[1], name="sending")
    office.delivery = make_delivery(by_line, throttle, office.settings)
    yield office
    office.delivery.close()
    by_line.dispose()


def cut_at_commit(line, number, *, forward):
    """Cut the n-th commit off from now; if it is forwarded, only its answer is lost."""
    return line.on(Rule(b"COMMIT", forward=forward, after=number - 1))


@contextmanager
def being_sent(office, made):
    """While a message's dot is out and its answer has not come; waits for the end of sending."""
    name = office.row(made).message_id.encode()
    thread = threading.Thread(target=office.delivery.send, args=(made.id, made.lease))
    thread.start()
    wait_until(lambda: any(name in mail for mail in office.sink.mails()))
    yield
    thread.join()


@pytest.mark.parametrize("forward", [False, True], ids=["never committed", "committed"])
def test_a_claim_whose_commit_had_no_answer_sends_nothing_and_goes_back(office, line, forward):
    made = office.released(office.task())
    rule = cut_at_commit(line, CLAIM, forward=forward)

    row = office.send(made)

    assert rule.struck == 1
    assert (row.state, row.attempts, row.why) == ("ready", 0, "the database was away at the claim")
    assert [one.state for one in office.attempts(made)] == (["void"] if forward else [])
    assert office.arrived(made) == []


@pytest.mark.parametrize("forward", [False, True], ids=["never committed", "committed"])
def test_an_answer_whose_commit_had_no_answer_is_written_once(office, line, forward):
    made = office.released(office.task())
    rule = cut_at_commit(line, SETTLE, forward=forward)

    row = office.send(made)

    assert rule.struck == 1
    assert (row.state, row.attempts) == ("sent", 1)
    assert [one.state for one in office.attempts(made)] == ["accepted"]
    assert len(office.arrived(made)) == 1


@pytest.mark.parametrize("forward", [False, True], ids=["never committed", "committed"])
def test_a_claim_is_taken_back_once_though_the_commit_of_that_had_no_answer(office, line, forward):
    with office.engine.begin() as connection:
        connection.execute(text("UPDATE installation SET generation = generation + 1"))
    made = office.released(office.task())  # the log is no longer whole, so there is no permit
    rule = cut_at_commit(line, SETTLE, forward=forward)

    row = office.send(made)

    assert rule.struck == 1
    assert (row.state, row.attempts) == ("ready", 0)
    assert [one.state for one in office.attempts(made)] == ["void"]


def test_a_body_is_read_though_the_database_went_away_meanwhile(office, line):
    made = office.released(office.task())
    cut_at_commit(line, BODY, forward=True)

    assert office.send(made).state == "sent"


def test_a_message_whose_route_cannot_be_read_stays_released_until_its_deadline(office, line):
    made = office.released(office.task())
    line.refuse()

    assert office.send(made).state == "released"


def test_an_answer_is_kept_until_the_database_is_back(office, line):
    made = office.released(office.task(), to=["slow@firma.example"])

    with being_sent(office, made):
        line.refuse()
        wait_until(lambda: [e for e in office.arrived(made) if e["code"]])
        assert office.row(made).state == "sending"
        line.restore()

    assert office.row(made).state == "sent"
    [one] = office.attempts(made)
    assert one.state == "accepted"


def test_a_session_that_the_server_ends_loses_no_answer(office):
    made = office.released(office.task(), to=["slow@firma.example"])

    with being_sent(office, made), office.engine.begin() as connection:
        connection.execute(
            text("""
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = 'kadencia sending'""")
        )

    assert office.row(made).state == "sent"
    assert len(office.arrived(made)) == 1


def test_a_fault_of_the_program_is_not_tried_again(engine):
    with pytest.raises(ProgrammingError):
        persist(engine, lambda connection: connection.execute(text("SELECT nonsense")), 60)


def test_a_database_that_stays_away_is_given_up_in_the_end(lines):
    line, url = lines
    by_line = db.make_engine(url, name="sending")
    line.refuse()

    with pytest.raises(OperationalError):
        persist(by_line, lambda connection: connection.execute(text("SELECT 1")), 0.1)

    by_line.dispose()
