"""Faults to plant: each changes one thing of the product, and breaks one promise."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import Phase
from sqlalchemy import Connection, text

from models.states import MessageState
from tests.model.senders import Sender, WatchedThrottle
from tests.model.world import World
from tests.support.permits import change_script
from worker.delivery.permits import Permits
from worker.outbox import claims, settling
from worker.outbox.answers import Answer
from worker.sweeps import picking
from worker.throttle import Asking

GENERATE = Phase.generate
"""Look for a counterexample, and leave it as long as it is."""


def change_lua(patch: pytest.MonkeyPatch, world: World, **changes: tuple[str, str]) -> None:
    """Let every process run changed copies of scripts."""

    def made(self: WatchedThrottle, *args: Any, **named: Any) -> None:
        init(self, *args, **named)
        for script, (old, new) in changes.items():
            change_script(self, script, old, new)

    init = WatchedThrottle.__init__
    patch.setattr(WatchedThrottle, "__init__", made)
    for throttle in world.throttles:
        for script, (old, new) in changes.items():
            change_script(throttle, script, old, new)


def confirm_before_the_dot(patch: pytest.MonkeyPatch, world: World) -> None:
    """The permit begins to age once it is granted; nothing is left to confirm later."""
    ask, confirm = Permits.ask, Permits.confirm

    def asked(self: Permits, asking: Asking) -> str | None:
        obstacle = ask(self, asking)
        if obstacle is None:
            confirm(self, asking)
        return obstacle

    patch.setattr(Permits, "ask", asked)
    patch.setattr(Permits, "confirm", lambda *_: None)


def score_without_handover_max(patch: pytest.MonkeyPatch, world: World) -> None:
    """A permit's entry begins to age at its grant."""
    change_lua(patch, world, acquire=("now + handover_max)", "now)"))


def attempt_opened_at_settle(patch: pytest.MonkeyPatch, world: World) -> None:
    """PostgreSQL hears of an attempt only with its answer."""
    settle, opening = settling.settle, claims.OPEN_ATTEMPT

    def opened(connection: Connection, attempt: UUID, *args: Any) -> str | None:
        query = text("SELECT * FROM message WHERE lease = :lease FOR UPDATE")
        row = connection.execute(query, {"lease": attempt}).one_or_none()
        if row is not None:
            values = {
                "lease": attempt,
                "id": row.id,
                "task": world.task.id,
                "account": world.task.account_id,
                "worker": "model",
                "cost": 1,
                "domains": '{"firma.example": 1}',
            }
            connection.execute(opening, values)
        return settle(connection, attempt, *args)

    patch.setattr(claims, "OPEN_ATTEMPT", text("SELECT 1"))
    patch.setattr(settling, "settle", opened)


def epoch_known_to_redis_alone(patch: pytest.MonkeyPatch, world: World) -> None:
    """A log is whole if its own Redis says so, whatever PostgreSQL's generation."""
    old = 'redis.call("GET", KEYS[1]) ~= ARGV[1] .. ":" .. run_id'
    new = 'not redis.call("GET", KEYS[1])'
    change_lua(patch, world, acquire=(old, new), look=(old, new))


def settle_without_its_guard(patch: pytest.MonkeyPatch, world: World) -> None:
    """An answer moves its message, whoever has it by now."""

    def settle(
        connection: Connection,
        attempt: UUID,
        answer: Answer,
        jitter: float,
        ago: timedelta = timedelta(0),
    ) -> str | None:
        row = connection.execute(settling.BY_ATTEMPT, {"attempt": attempt}).one_or_none()
        if row is None or row.state == MessageState.CANCELLED:
            return None
        settling._close(connection, attempt, answer, ago)
        return settling._apply(connection, row, answer, jitter, charge=answer.charged)

    patch.setattr(settling, "settle", settle)


def refund_after_mail(patch: pytest.MonkeyPatch, world: World) -> None:
    """A permit is given back after its hand-over."""
    patch.setattr(Permits, "confirm", Permits.refund)


def claim_without_its_lease(patch: pytest.MonkeyPatch, world: World) -> None:
    """Whoever holds a message's id may claim it, with a lease of long ago too."""
    for name in ("ROUTE", "CLAIMABLE"):
        query = getattr(claims, name).text
        assert "m.lease = :lease" in query
        patch.setattr(claims, name, text(query.replace("m.lease = :lease", ":lease IS NOT NULL")))


def unknown_taken_for_not_sent(patch: pytest.MonkeyPatch, world: World) -> None:
    """A worker that was lost is taken for one that handed nothing over."""

    def overtaken(connection: Connection, message_id: int, attempt: UUID, why: str) -> None:
        settling.undo(connection, message_id, attempt, why)

    patch.setattr(settling, "overtaken", overtaken)


def publish_before_commit(patch: pytest.MonkeyPatch, world: World) -> None:
    """A message's first task is taken by a process before the row that it speaks of can be seen."""
    lease, publish = picking.leases.lease, world._publish
    early: dict[int, UUID] = {}

    def leased_and_taken(connection: Connection, *args: Any) -> Any:
        leased = lease(connection, *args)
        for one in leased:
            if early.setdefault(one.message_id, one.token) is one.token:
                sender = Sender(world, 0, one.message_id, one.token)
                sender.step()
                assert not sender.alive, "it saw a row that was not committed"
        return leased

    def published(name: str, args: list[Any], **named: Any) -> None:
        if early[args[0]] != UUID(args[1]):
            publish(name, args, **named)

    patch.setattr(picking.leases, "lease", leased_and_taken)
    patch.setattr(world, "_publish", published)
