"""The audit of the rate, from attempts alone."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from tests.support.rows import MadeTask, make_account, make_attempt, make_company, make_task
from worker.audit import Finding, RateAudit, audit_rate

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
DOT_BY, HANDOVER_MAX = MINUTE, 11 * MINUTE


def judged(engine: Engine, since: datetime, until: datetime | None = None) -> RateAudit:
    with engine.connect() as connection:
        return audit_rate(
            connection,
            since,
            until or datetime.now(UTC),
            HOUR,
            dot_by=DOT_BY,
            handover_max=HANDOVER_MAX,
        )


def found(audit: RateAudit, kind: str) -> list[Finding]:
    return [finding for finding in audit.findings if finding.kind == kind]


def hand_over(
    connection: Connection, task: MadeTask, at: datetime, took: timedelta = SECOND, **columns
) -> None:
    values = {"state": "accepted", "opened_at": at - took, "closed_at": at, **columns}
    make_attempt(connection, task, **values)


def limited_since(connection: Connection, subject: str, *changes: tuple[datetime, dict]) -> None:
    """Let the log say that a limit was set at these times."""
    connection.execute(text("DELETE FROM audit_log WHERE subject = :s"), {"s": subject})
    before = None
    for at, after in changes:
        connection.execute(
            text("""INSERT INTO audit_log (at, who, action, subject, before, after)
                VALUES (:at, 'tests', 'limit', :s, CAST(:before AS jsonb), CAST(:after AS jsonb))
            """),
            {"at": at, "s": subject, "before": before, "after": _json(after)},
        )
        before = _json(after)


def _json(values: dict) -> str:
    inside = ", ".join(f'"{k}": {"null" if v is None else v}' for k, v in values.items())
    return "{" + inside + "}"


@pytest.fixture
def start() -> datetime:
    """A day ago."""
    return datetime.now(UTC).replace(microsecond=7) - timedelta(days=1)


@pytest.fixture
def task(engine: Engine) -> MadeTask:
    with engine.begin() as connection:
        return make_task(connection, name="Pozvánky", cadence=100)


def test_an_idle_time_has_no_findings(engine, task, start):
    assert judged(engine, start).findings == ()


def test_a_task_within_its_cadence_is_told_with_its_fullest_window(engine, task, start):
    with engine.begin() as connection:
        for minute in (0, 10, 20, 75, 90):
            hand_over(connection, task, start + HOUR + minute * MINUTE)

    audit = judged(engine, start)

    (finding,) = found(audit, "task")
    end = start + HOUR + 20 * MINUTE
    assert asdict(finding) == {
        "kind": "task",
        "id": task.id,
        "name": "Pozvánky",
        "domain": "",
        "handed_over": 5,
        "worst": 3,
        "worst_from": end - HOUR,
        "worst_until": end,
        "limit": 100,
    }
    assert not audit.exceeded


def test_a_window_over_the_limit_is_found_to_the_microsecond(engine, task, start):
    with engine.begin() as connection:
        connection.execute(text("UPDATE automatic_task SET cadence = 100"))
        first = start + HOUR
        hand_over(connection, task, first, domains={"a.example": 60})
        hand_over(connection, task, first + HOUR, domains={"a.example": 50})
    assert judged(engine, start).exceeded == ()

    with engine.begin() as connection:
        hand_over(
            connection, task, first + HOUR - timedelta(microseconds=1), domains={"a.example": 1}
        )
        hand_over(connection, task, first + 2 * HOUR - SECOND, domains={"a.example": 50})
    audit = judged(engine, start)

    (finding,) = audit.exceeded
    assert (finding.kind, finding.worst, finding.limit) == ("task", 101, 100)
    assert finding.worst_until == first + 2 * HOUR - SECOND


def test_accounts_and_their_domains_are_judged_by_their_own_limits(engine, start):
    with engine.begin() as connection:
        company = make_company(connection)
        account = make_account(
            connection, company, name="Pošta", hourly_limit=3, domain_hourly_limit=2
        )
        tasks = [make_task(connection, company, account) for _ in range(2)]
        for number, domain in enumerate(["a.example", "b.example", "a.example", "a.example"]):
            hand_over(connection, tasks[number % 2], start + HOUR, domains={domain: 1})

    audit = judged(engine, start)

    assert [(f.kind, f.name, f.domain, f.worst, f.limit) for f in audit.exceeded] == [
        ("account", "Pošta", "", 4, 3),
        ("domain", "Pošta", "a.example", 3, 2),
    ]
    assert [f.worst for f in found(audit, "task")] == [2, 2]
    assert [f.domain for f in found(audit, "domain")] == ["a.example", "b.example"]


def test_an_account_without_limits_is_told_and_its_domains_are_not(engine, task, start):
    with engine.begin() as connection:
        hand_over(connection, task, start + HOUR)

    audit = judged(engine, start)

    assert [f.limit for f in found(audit, "account")] == [None]
    assert found(audit, "domain") == []
    assert not audit.exceeded


@pytest.mark.parametrize(
    ("columns", "after"),
    [
        pytest.param({"state": "accepted", "closed": 5 * MINUTE}, 5 * MINUTE, id="an answered one"),
        pytest.param({"state": "rejected", "closed": 5 * MINUTE}, 5 * MINUTE, id="a rejected one"),
        pytest.param(
            {"state": "accepted", "closed": 50 * MINUTE},
            HANDOVER_MAX,
            id="one closed later than it can have been answered",
        ),
        pytest.param({"state": "open", "closed": None}, DOT_BY, id="an open one"),
        pytest.param({"state": "unknown", "closed": 12 * MINUTE}, DOT_BY, id="an unknown one"),
        pytest.param(
            {"state": "unknown", "closed": 20 * SECOND}, 20 * SECOND, id="one unknown at once"
        ),
    ],
)
def test_an_attempt_counts_when_its_dot_was_answered_or_due(columns, after, engine, task, start):
    opened = start + HOUR
    closed = columns.pop("closed")
    with engine.begin() as connection:
        closed_at = None if closed is None else opened + closed
        make_attempt(connection, task, opened_at=opened, closed_at=closed_at, **columns)

    (finding,) = found(judged(engine, start), "task")

    assert finding.worst_until == opened + after


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"state": "void"}, id="no permit was granted"),
        pytest.param({"state": "rejected", "phase": "ehlo"}, id="its server can never take it"),
        pytest.param({"state": "deferred", "phase": "mail"}, id="MAIL had no answer"),
    ],
)
def test_an_attempt_that_reached_nobody_counts_for_nothing(columns, engine, task, start):
    with engine.begin() as connection:
        hand_over(connection, task, start + HOUR, **columns)

    assert judged(engine, start).findings == ()


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param({"state": "deferred", "phase": "mail", "code": 451}, id="refused at MAIL"),
        pytest.param({"state": "rejected", "phase": "rcpt", "code": 550}, id="refused at RCPT"),
        pytest.param({"state": "accepted", "phase": "dot", "code": 250}, id="accepted"),
    ],
)
def test_an_attempt_that_had_an_answer_counts(columns, engine, task, start):
    with engine.begin() as connection:
        hand_over(connection, task, start + HOUR, **columns)

    (finding,) = found(judged(engine, start), "task")
    assert finding.worst == 1


def test_the_limit_is_the_one_in_force_at_the_last_permit(engine, task, start):
    with engine.begin() as connection:
        limited_since(
            connection,
            f"task:{task.id}",
            (start, {"cadence": 300}),
            (start + 3 * HOUR, {"cadence": 100}),
        )
        hand_over(connection, task, start + HOUR, domains={"a.example": 200})
        hand_over(connection, task, start + 5 * HOUR, domains={"a.example": 90})
    assert not judged(engine, start).exceeded

    with engine.begin() as connection:
        hand_over(connection, task, start + 5 * HOUR + MINUTE, domains={"a.example": 20})

    (finding,) = judged(engine, start).exceeded
    assert (finding.worst, finding.limit) == (110, 100)


def test_a_limit_that_was_removed_counts_while_it_was_in_force(engine, start):
    with engine.begin() as connection:
        company = make_company(connection)
        account = make_account(connection, company)
        task = make_task(connection, company, account)
        limited_since(
            connection,
            f"smtp:{account}",
            (start, {"hourly": 2, "domain": 1}),
            (start + 4 * HOUR, {"hourly": None, "domain": None}),
        )
        for hour in (1, 6):
            for second in range(3):
                hand_over(connection, task, start + hour * HOUR + second * SECOND)

    audit = judged(engine, start)

    assert [(f.kind, f.worst, f.limit, f.handed_over) for f in audit.exceeded] == [
        ("account", 3, 2, 6),
        ("domain", 3, 1, 6),
    ]
    assert judged(engine, start + 5 * HOUR).exceeded == ()


def test_the_present_limit_counts_where_no_change_is_on_record(engine, task, start):
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM audit_log"))
        hand_over(connection, task, start + HOUR, domains={"a.example": 101})

    (finding,) = judged(engine, start).exceeded

    assert (finding.kind, finding.limit) == ("task", 100)


def test_a_limit_changed_by_hand_is_known_from_the_log(engine, task):
    before = datetime.now(UTC) - HOUR
    with engine.begin() as connection:
        hand_over(connection, task, datetime.now(UTC) - MINUTE, domains={"a.example": 150})
    with engine.begin() as connection:
        connection.execute(text("UPDATE automatic_task SET cadence = 200"))

    (finding,) = judged(engine, before).exceeded

    assert (finding.worst, finding.limit) == (150, 100)


def test_what_went_before_the_time_looked_at_reaches_into_its_first_window(engine, task, start):
    with engine.begin() as connection:
        hand_over(connection, task, start - 59 * MINUTE, domains={"a.example": 60})
        hand_over(connection, task, start + SECOND, domains={"a.example": 60})

    (finding,) = judged(engine, start, start + HOUR).exceeded

    assert (finding.worst, finding.handed_over) == (120, 60)


def test_a_time_to_come_is_looked_at_up_to_now(engine, task, start):
    audit = judged(engine, start, start + timedelta(days=30))

    assert audit.until <= datetime.now(UTC)


def test_a_time_that_ends_before_it_begins_is_refused(engine, start):
    with pytest.raises(ValueError, match="no time lies between"):
        judged(engine, start, start - HOUR)
