"""What is counted in the outbox for people, and which messages nobody will ever take."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, text, update

from models.automation import AutomaticTask, TaskEstablishment
from models.fleet import Process
from models.states import MessageState
from tests.support import rows
from tests.support.shared_database import rolled_back, shared_engine
from worker.outbox import figures

HOUR, LONGEST = timedelta(hours=1), timedelta(minutes=11)


@pytest.fixture(scope="module")
def shared(services):
    with shared_engine(services) as engine:
        yield engine


@pytest.fixture
def connection(shared):
    with rolled_back(shared, who="tests") as opened:
        yield opened


@pytest.fixture
def task(connection):
    made = rows.make_task(connection, name="Pošta")
    man(connection, made)
    return made


def man(connection, task):
    """Let the task's OAC server have had a worker."""
    process = {"host": "h", "pid": 1, "version": "0.1.0", "slots": 1}
    number = f"00000000-0000-0000-0000-{task.server_id:012}"
    connection.execute(insert(Process).values(id=number, server_id=task.server_id, **process))


def limit(connection, task, place):
    connection.execute(
        insert(TaskEstablishment).values(
            task_id=task.id, establishment_id=place, company_id=task.company_id
        )
    )


def pause(connection, task):
    connection.execute(
        update(AutomaticTask).where(AutomaticTask.id == task.id).values(active=False)
    )


def why(connection):
    return [(one.why, str(one.messages)) for one in figures.lanes_without_task(connection)]


def test_ready_messages_that_an_active_task_takes_are_not_stranded(connection, task):
    lane = rows.make_lane(connection, task.company_id)
    rows.make_message(connection, task, lane_id=lane)
    rows.make_message(connection, task)

    assert why(connection) == []


def test_messages_of_a_company_without_a_task_are_stranded(connection, task):
    other = rows.make_company(connection, name="Iná")
    rows.make_message(connection, task, company_id=other, lane_id=rows.make_lane(connection, other))

    assert why(connection) == [("the company has no automatic task that sends e-mails", "1")]


def test_a_task_of_the_other_channel_is_none_for_these_messages(connection, task):
    other = rows.make_sms_task(connection, rows.make_company(connection, name="Iná")).company_id
    rows.make_message(connection, task, company_id=other, lane_id=rows.make_lane(connection, other))

    assert why(connection) == [("the company has no automatic task that sends e-mails", "1")]


def test_messages_of_a_paused_task_are_stranded_and_it_is_named(connection, task):
    pause(connection, task)
    rows.make_message(connection, task)

    (found,) = figures.lanes_without_task(connection)

    assert found.why == "paused: automatic task Pošta"
    assert (found.task, found.establishment, found.company_id) == ("Pošta", None, task.company_id)


def test_messages_of_an_establishment_that_no_task_is_for_are_stranded(connection, task):
    kosice = rows.make_establishment(connection, task.company_id, name="Košice")
    zilina = rows.make_establishment(connection, task.company_id, name="Žilina")
    limit(connection, task, kosice)
    for place in (kosice, zilina, None):
        lane = rows.make_lane(connection, task.company_id, establishment_id=place)
        rows.make_message(connection, task, lane_id=lane)

    found = figures.lanes_without_task(connection)

    assert [one.establishment for one in found] == ["Žilina", None]
    assert {one.why for one in found} == {
        "the company's automatic tasks are limited to other establishments"
    }


def test_messages_for_a_server_that_never_had_a_worker_are_stranded(connection):
    rows.make_message(connection, rows.make_task(connection, server="new"))

    assert why(connection) == [("no worker has registered for OAC server new", "1")]


@pytest.mark.parametrize("state", ["sent", "held", "released", "unknown", "cancelled"])
def test_only_ready_messages_can_be_stranded(connection, task, state):
    rows.make_message(connection, task, state=state)
    pause(connection, task)

    assert why(connection) == []


def test_a_lane_that_two_tasks_share_is_counted_once(connection, task):
    twin = rows.make_task(connection, task.company_id)
    lane = rows.make_lane(connection, task.company_id)
    rows.make_message(connection, task, lane_id=lane)
    rows.make_message(connection, task)

    assert figures.backlog(connection, [task.id, twin.id]).least == 2
    assert figures.backlog(connection, [twin.id]).least == 1
    assert figures.backlog(connection, []).least == 0


def test_sent_counts_recipients_accepted_within_the_window(connection, task):
    now = datetime.now(UTC)
    within = {"opened_at": now - timedelta(minutes=65), "closed_at": now - timedelta(minutes=59)}
    rows.make_attempt(connection, task, state="accepted", domains={"firma.example": 2}, **within)
    before = {"opened_at": now - timedelta(minutes=65), "closed_at": now - timedelta(minutes=61)}
    rows.make_attempt(connection, task, state="accepted", **before)
    for state in ("open", "void", "rejected", "deferred", "unknown"):
        rows.make_attempt(connection, task, state=state)

    assert figures.sent(connection, [task.id], HOUR, LONGEST) == 2


def test_parked_messages_are_counted_by_state(connection, task):
    rows.make_message(connection, task, state="unknown")
    rows.make_message(connection, task, state="held")
    rows.make_message(connection, task)

    assert str(figures.parked(connection, MessageState.UNKNOWN)) == "1"


def test_a_huge_backlog_is_counted_up_to_a_bound_and_never_read_to_its_end(connection, task):
    one = rows.make_message(connection, task)
    connection.execute(
        text("""
            INSERT INTO message (company_id, lane_id, priority, not_before, expires_at, domain,
                                 cost, message_id, subject)
            SELECT company_id, lane_id, priority, not_before, expires_at, domain, cost,
                   message_id, subject
            FROM message CROSS JOIN generate_series(1, 30000) WHERE id = :id
        """),
        {"id": one.id},
    )
    connection.execute(text("ANALYZE message"))

    assert str(figures.backlog(connection, [task.id])) == "10,000+"

    values = {"tasks": [task.id], "most": figures.COUNTED_MOST + 1}
    plan = connection.execute(text("EXPLAIN (ANALYZE) " + figures.BACKLOG.text), values).scalars()
    told = "\n".join(plan)
    assert "ix_message_ready" in told
    assert "Seq Scan on message" not in told
    assert "rows=30001." not in told  # what was read; the estimate has no fraction
