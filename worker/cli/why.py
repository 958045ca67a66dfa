"""Why a message stands where it stands: what PostgreSQL knows, and a look at the throttle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row

from models.states import Channel, MessageState
from settings import SettingsError
from worker import bootstrap
from worker.cli import context
from worker.core.explain import TaskFacts, explain
from worker.outbox import reading
from worker.outbox.people import COMMAND
from worker.outbox.reading import Taker
from worker.throttle import LogLost, Throttle, ThrottleUnavailable

_PLAIN = {
    MessageState.RELEASED: "released to a worker, which is to begin it any moment",
    MessageState.SENDING: "being handed over to the {far_side}",
    MessageState.UNKNOWN: "nobody knows whether it went; `kadencia {command} resolve` settles it",
    MessageState.HELD: "held; `kadencia {command} release` lets it go",
}
_FAR_SIDE = {Channel.EMAIL: "SMTP server", Channel.SMS: "gateway"}


def reasons(connection: Connection, row: Row[Any], people: Sequence[Row[Any]]) -> list[str]:
    """Why a message has not gone yet; empty if it has ended.

    Args:
        connection: any.
        row: from `reading.message`.
        people: from `reading.recipients`.
    """
    state = MessageState(row.state)
    if state is not MessageState.READY:
        if state not in _PLAIN:
            return []
        channel = Channel(row.channel)
        return [_PLAIN[state].format(far_side=_FAR_SIDE[channel], command=COMMAND[channel])]
    whole = reading.installation(connection)
    takers = reading.takers(connection, row, context.silent_after())
    trouble, tasks = _looked(takers, whole.generation, ZoneInfo(row.time_zone))
    return explain(reading.facts(row, people, whole, tasks, trouble))


def _looked(
    takers: Sequence[Taker], generation: int, zone: tzinfo
) -> tuple[str | None, list[TaskFacts]]:
    """What the throttle says of each task's budgets, or why it says nothing."""
    plain = [taker.facts for taker in takers]
    try:
        throttle = bootstrap.make_throttle(context.settings())
        return None, [_look(throttle, taker, generation, zone) for taker in takers]
    except SettingsError as error:
        return str(error), plain
    except LogLost as error:
        return f"{error}; a worker does that", plain
    except ThrottleUnavailable as error:
        return f"{error}; nothing is sent without it", plain


def _look(throttle: Throttle, taker: Taker, generation: int, zone: tzinfo) -> TaskFacts:
    found = throttle.look(
        task_id=taker.task_id,
        account_id=taker.account_id,
        domain_limit=taker.domain_limit,
        generation=generation,
    )
    oldest = found.task_oldest_us
    return replace(
        taker.facts,
        used=found.task_used,
        free_at=_moment(oldest + throttle.window_us, zone) if oldest else None,
        full_domains=frozenset(found.full_domains),
        domains_free_at=_moment(found.domain_free_at_us, zone),
    )


def _moment(microseconds: int, zone: tzinfo) -> datetime | None:
    """Redis's time as a datetime; 0 stands for none."""
    if microseconds == 0:
        return None
    return (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)).astimezone(zone)
