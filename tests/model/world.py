"""The model's world: PostgreSQL, two Valkeys, processes on threads, a broker that lies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import redis
from sqlalchemy import Engine, insert, text

from models.smtp import TaskAccount
from settings import load
from tests.model.books import Books, Rows
from tests.model.clock import NOON, SECOND, Clock
from tests.model.senders import Sender, WatchedThrottle
from tests.support.redis_clients import connect
from tests.support.rows import make_account, make_body, make_company, make_message, make_task
from worker import recovery
from worker.crashpoints import CrashPoint
from worker.outbox import people
from worker.rebuild import rebuild
from worker.sweeps import Sweeper
from worker.throttle import task_key

NO_PACE = {"KADENCIA_BURST_SECONDS": "360000"}
"""The pace carries no promise, and would only hide a fault of the log."""

MESSAGES = text("""
    SELECT id, state, lease, attempts, unknowns, not_before, settled_at, expires_at,
        clock_timestamp() AS now FROM message ORDER BY id
""")
ATTEMPTS = text("SELECT id, message_id, state, closed_at FROM attempt")

# The smallest cadence of 100 would take hundreds of hand-overs to fill.
SMALL = "ALTER TABLE automatic_task DROP CONSTRAINT ck_automatic_task_cadence"

CLEAR = """
    DELETE FROM attempt; DELETE FROM recipient; DELETE FROM message; DELETE FROM task_run;
    DELETE FROM audit_log;
    UPDATE automatic_task SET active = true, cadence = 1, unknown_policy = 'hold';
    UPDATE account SET breaker_failures = 0, breaker_until = NULL, hourly_limit = 1000,
        enabled = true;
"""


class World:
    """Everything that a history happens in; `begin` starts a new one.

    Attributes:
        published: tasks in the broker, oldest first: message and token.
        senders: processes that are under way.
        books: the model's own.
        policy: what the task does with an unknown.
    """

    def __init__(self, engine: Engine, urls: Sequence[str]) -> None:
        self.engine = engine
        self.settings = load(NO_PACE)
        self.masters: list[redis.Redis] = [connect(url) for url in urls]
        with engine.begin() as connection:
            connection.execute(text(SMALL))
            company = make_company(connection)
            account = make_account(connection, company, most_connections=100)
            columns = {"retry_first": 60, "retry_longest": 600, "most_attempts": 3}
            self.task = make_task(connection, company, account, **columns)
            other = make_account(connection, company, most_connections=100)
            of = {"task_id": self.task.id, "company_id": company, "account_id": other}
            connection.execute(insert(TaskAccount).values(position=1, **of))
            self.body = make_body(connection)
        self.clock = Clock(engine, self.masters)
        self._watching = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self.throttles = [WatchedThrottle(self, master=n) for n in range(len(urls))]
        for throttle, client in zip(self.throttles, self.masters, strict=True):
            throttle.domains_used = lambda *_: {}  # type: ignore[method-assign]
            client.script_flush()
        self.senders: list[Sender] = []
        self.begin()

    def begin(self) -> None:
        """A new history: nothing is enqueued, and only the first master's log is whole."""
        self.end()
        with self.engine.begin() as connection:
            connection.exec_driver_sql(CLEAR)
        for client in self.masters:
            client.flushall()
        self.clock.set(NOON)
        self.published: list[tuple[int, UUID]] = []
        self.policy = "hold"
        self._limits = {"task": 1, "SMTP": 1000, "domain": 2**31}
        window, deadline = self.throttles[0].window_us, self.settings.sending_deadline_seconds
        self.books = Books(window, round(deadline * SECOND))
        self._number = 0
        rebuild(self.engine, self.throttles[0])
        self.rows = self._read()

    def end(self) -> None:
        """Kill what is under way."""
        for sender in self.senders:
            sender.kill()
        self.senders = []

    def close(self) -> None:
        """Kill what is under way, and close all connections."""
        self.end()
        self.clock.close()
        self._watching.close()
        for client in self.masters:
            client.close()

    def limits(self) -> dict[str, int]:
        return dict(self._limits)

    # What the fleet does.

    def enqueue(self) -> None:
        """A message for one recipient, good for ten days."""
        now = self._moment()
        with self.engine.begin() as connection:
            made = make_message(
                connection,
                self.task,
                body_id=self.body,
                not_before=now,
                expires_at=now + timedelta(days=10),
            )
        self.books.enqueued.add(made.id)
        self.look()

    def sweep(self, master: int) -> None:
        """The newest sweep of the task, on a process that sees this master."""
        sweeper = Sweeper(self.engine, self.throttles[master], self.settings, "main", self._publish)
        sweeper.sweep(self.task.id, self._task("sweep_no"))
        self.look()

    def recover(self, master: int) -> None:
        """One pass of recover, on a process that sees this master."""
        recovery.recover(self.engine, self.throttles[master], self.settings)
        self.look()

    def take(self, number: int, master: int) -> Sender:
        """A process takes a task from the broker."""
        message_id, token = self.published.pop(number % len(self.published))
        self._number += 1
        sender = Sender(self, self._number, message_id, token)
        sender.throttle.turn(master)
        self.senders.append(sender)
        self.step(sender)
        return sender

    def step(self, sender: Sender) -> None:
        """A process goes on to its next arrow, within what its lease allows."""
        before, claimed = self.rows, sender.claimed
        sender.step()
        self._forget()
        self.look()
        self.books.fence(sender.token, sender.message_id, claimed, before, self.rows)

    def answer(self, sender: Sender, verdict: str, *, heard: bool) -> None:
        """The server decides on the mail whose dot it has; its answer arrives or is lost."""
        self.books.hand_overs[sender.token].verdict = verdict
        sender.told = verdict if heard else None

    def crash(self, sender: Sender) -> None:
        sender.kill()
        self._forget()
        self.look()

    # What the world does.

    def pass_by(self, seconds: float) -> None:
        self.clock.pass_by(round(seconds * SECOND))
        self.look()

    def to_the_next_slot(self, master: int) -> None:
        """To the first moment at which the task's oldest permit may have left the log."""
        oldest = self.masters[master].zrange(task_key(self.task.id), 0, 0, withscores=True)
        if oldest:
            free = round(oldest[0][1]) + self.books.window_us
            self.clock.set(max(self.clock.now_us, free + 1))

    def flush(self, master: int) -> None:
        """A master loses all."""
        self.masters[master].flushall()
        self.clock.plant()

    def set_limit(self, limit: int) -> None:
        self._limits["task"] = limit
        self._change("UPDATE automatic_task SET cadence = :value", limit)

    def set_account_limit(self, limit: int) -> None:
        self._limits["SMTP"] = limit
        self._change("UPDATE account SET hourly_limit = :value", limit)

    def set_own_account(self, enabled: bool) -> None:
        """While it is disabled, the task's messages go through its fallback."""
        own = f"UPDATE account SET enabled = :value WHERE id = {self.task.account_id}"
        self._change(own, enabled)

    def set_policy(self, policy: str) -> None:
        self.policy = policy
        self._change("UPDATE automatic_task SET unknown_policy = :value", policy)

    def set_active(self, active: bool) -> None:
        self._change("UPDATE automatic_task SET active = :value", active)

    def person(self, message_id: int, action: str) -> None:
        """A person tries to move a message."""
        before = self.rows
        try:
            with self.engine.begin() as connection:
                getattr(people, action)(connection, message_id)
        except people.MoveRefused:
            return
        self.books.person(message_id, action, before)
        self.look()

    def settle_down(self) -> None:
        """No faults any more: all comes to an end, or to a queue that a person can see."""
        for sender in list(self.senders):
            self.finish(sender)
        self.set_active(True)
        for _ in range(4 + 2 * len(self.books.enqueued)):
            self.recover(0)
            self.sweep(0)
            while self.published:
                self.finish(self.take(0, 0))
            if not any(self._waits(row) for row in self.rows.messages.values()):
                return
            window = self.books.window_us + self.throttles[0].handover_max_us
            self.clock.pass_by(window + SECOND)
        raise self.books.lost("a message neither ends nor is parked though nothing is in its way")

    def finish(self, sender: Sender) -> None:
        """Let a process run to its end, its server taking the mail."""
        sender.throttle.turn(0)
        while sender.alive:
            if sender.at is CrashPoint.DOT_SENT and sender.told is None:
                self.answer(sender, "accepted", heard=True)
            self.clock.pass_by()
            self.step(sender)

    def look(self) -> None:
        """Hold what PostgreSQL has to the books, and let a moment pass."""
        before, self.rows = self.rows, self._read()
        self.books.look(before, self.rows, self.policy, self.clock.now_us)
        self.clock.pass_by()

    def _publish(self, _name: str, args: list[Any], **_: str) -> None:
        self.published.append((args[0], UUID(args[1])))

    def _forget(self) -> None:
        self.senders = [one for one in self.senders if one.alive]

    def _waits(self, row: Any) -> bool:
        return row.state in ("ready", "released", "sending")

    def _read(self) -> Rows:
        return Rows(
            {row.id: row for row in self._watching.execute(MESSAGES)},
            {row.id: row for row in self._watching.execute(ATTEMPTS)},
        )

    def _task(self, column: str) -> Any:
        return self._watching.execute(text(f"SELECT {column} FROM automatic_task")).scalar_one()

    def _change(self, statement: str, value: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), {"value": value})

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=self.clock.now_us)
