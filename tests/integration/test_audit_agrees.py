"""What the throttle let through, the audit finds within the limit; and it counts for itself."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from tests.support.permits import asking, change_script, open_throttle
from tests.support.redis_clients import connect
from tests.support.rows import MadeTask, make_attempt, make_company, make_message, make_task
from worker.audit import RateAudit, audit_rate
from worker.throttle import Throttle

LIMIT = 100
WINDOW, ANSWER = timedelta(milliseconds=400), timedelta(milliseconds=200)
CLOSE = text("UPDATE attempt SET state = :state, closed_at = clock_timestamp() WHERE id = :id")


class Sender(threading.Thread):
    """Claims, asks, closes and confirms; voids what was refused."""

    def __init__(
        self, engine: Engine, throttle: Throttle, task: MadeTask, message: int, rounds: int
    ) -> None:
        super().__init__()
        self.engine, self.throttle, self.task = engine, throttle, task
        self.message, self.rounds = message, rounds
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for seed in range(self.rounds):
                self.send(random.Random(seed))
        except BaseException as error:
            self.error = error

    def send(self, dice: random.Random) -> None:
        domains = {"a.example": dice.choice([1, 5, 9])}
        with self.engine.begin() as connection:
            permit = make_attempt(connection, self.task, self.message, domains=domains)
        asked = asking(
            permit, task=self.task.id, account=self.task.account_id, limit=LIMIT, domains=domains
        )
        refused = self.throttle.acquire(asked) is not None
        with self.engine.begin() as connection:
            connection.execute(CLOSE, {"id": permit, "state": "void" if refused else "accepted"})
        if not refused:
            self.throttle.confirm(permit, asked.budgets)


def audited(engine: Engine, throttle: Throttle) -> RateAudit:
    """What the audit makes of eight senders."""
    since = datetime.now(UTC) - timedelta(seconds=1)
    with engine.begin() as connection:
        task = make_task(connection, make_company(connection), cadence=LIMIT)
        message = make_message(connection, task, state="sent").id
    senders = [Sender(engine, throttle, task, message, 100) for _ in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert [sender.error for sender in senders if sender.error] == []
    with engine.connect() as connection:
        until = datetime.now(UTC)
        return audit_rate(connection, since, until, WINDOW, dot_by=ANSWER, handover_max=ANSWER)


@pytest.fixture
def throttle(redis_url: str) -> Throttle:
    micro = timedelta(microseconds=1)
    open_throttle(redis_url, window_us=WINDOW // micro, handover_us=ANSWER // micro)
    client = connect(redis_url)
    return Throttle(client, window_us=WINDOW // micro, handover_max_us=ANSWER // micro)


def test_what_the_throttle_let_through_is_within_the_limit(engine, throttle):
    audit = audited(engine, throttle)

    task = audit.findings[0]
    assert audit.exceeded == ()
    assert task.handed_over > 2 * LIMIT
    assert LIMIT - 9 < task.worst <= LIMIT


def test_what_a_faulty_throttle_let_through_is_found(engine, throttle):
    change_script(throttle, "acquire", "now - window)", "now - window / 2)")

    audit = audited(engine, throttle)

    assert audit.exceeded == audit.findings[:1]
