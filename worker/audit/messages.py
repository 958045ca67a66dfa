"""The audit of messages: states, unknowns and who settled them, silences, the limits in force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row

from worker import db
from worker.audit.rate import Kind, limits, names
from worker.core.instants import from_us, to_us
from worker.core.unknowns import Decision, Settled, how_settled
from worker.outbox import audited

UNKNOWNS_LISTED = 1_000  # chosen: more are counted and not listed


@dataclass(frozen=True, slots=True)
class Unknown:
    """An attempt that has no answer to this day.

    Attributes:
        message_id: its message.
        task: name of the automatic task.
        opened_at, closed_at: of the attempt.
        settled: who decided on the message.
        settled_at: when, if the audit log has it.
        who: the person, or who took the receipt in.
        action: as the audit log calls it.
        state: of the message now.
    """

    message_id: int
    task: str
    opened_at: datetime
    closed_at: datetime
    settled: Settled
    settled_at: datetime | None
    who: str | None
    action: str | None
    state: str


@dataclass(frozen=True, slots=True)
class LimitStep:
    """A limit from a moment on; None is none. `kind` domain: of each domain at an account."""

    kind: Kind
    id: int
    name: str
    since: datetime
    limit: int | None


@dataclass(frozen=True, slots=True)
class MessagesAudit:
    """What became of a time's messages, as far as the evidence proves it.

    Attributes:
        since, until: (since, until]
        messages: enqueued in the time, by company, task that took them last, and state now.
        attempts: opened in the time, by task and state; `cost` counts envelope recipients, and
            segments of SMS.
        sms: accepted by the gateway in the time, by task, as their delivery reports prove.
        spent: EUR charged to budgets on its days, and what the attempts come to by themselves.
        settled: how many unknown attempts of the time were settled in each way.
        unknowns: those attempts, at most `UNKNOWNS_LISTED`.
        unknown_without_attempt: messages that a restore has made unknown, of any time.
        silence: the shortest silence that is told.
        silences: where nothing was handed over although a message was due all the while.
        without_run: attempts that the journal of runs does not account for.
        limits: in force at `since`, and each change up to `until`.
    """

    since: datetime
    until: datetime
    messages: tuple[dict[str, Any], ...]
    attempts: tuple[dict[str, Any], ...]
    sms: tuple[dict[str, Any], ...]
    spent: tuple[dict[str, Any], ...]
    settled: dict[str, int]
    unknowns: tuple[Unknown, ...]
    unknown_without_attempt: int
    silence: timedelta
    silences: tuple[dict[str, Any], ...]
    without_run: tuple[dict[str, Any], ...]
    limits: tuple[LimitStep, ...]


def audit_messages(
    connection: Connection,
    since: datetime,
    until: datetime,
    *,
    silence: timedelta,
    grace: timedelta,
) -> MessagesAudit:
    """Say what became of the messages and attempts of a time.

    Args:
        connection: any.
        since: after this, aware.
        until: and not after this, aware; now, if it is later.
        silence: a silence of a task is told if it is longer. After a window and the longest
            hand-over all permits have aged, and no limit explains it any more.
        grace: the longest from a run's last sweep to the last attempt that it may lead to.

    Raises:
        ValueError: `until` is not after `since`.
    """
    until = min(until, db.now(connection))
    if until <= since:
        raise ValueError(f"no time lies between {since.isoformat()} and {until.isoformat()}")
    settled, unknowns = _unknowns(connection, since, until)
    return MessagesAudit(
        since=since,
        until=until,
        messages=_plain(audited.messages(connection, since, until)),
        attempts=_plain(audited.attempts(connection, since, until)),
        sms=_plain(audited.sms(connection, since, until)),
        spent=_plain(audited.spent(connection, since, until)),
        settled=settled,
        unknowns=unknowns,
        unknown_without_attempt=audited.unknown_without_attempt(connection),
        silence=silence,
        silences=_plain(audited.silences(connection, since, until, silence)),
        without_run=_plain(audited.without_run(connection, since, until, grace)),
        limits=tuple(_limits(connection, since, until)),
    )


def _unknowns(
    connection: Connection, since: datetime, until: datetime
) -> tuple[dict[str, int], tuple[Unknown, ...]]:
    counted: Counter[str] = Counter({one.value: 0 for one in Settled})
    listed: list[Unknown] = []
    for row in audited.unknown(connection, since, until):
        one = _unknown(row)
        counted[one.settled.value] += 1
        if len(listed) < UNKNOWNS_LISTED:
            listed.append(one)
    return dict(counted), tuple(listed)


def _unknown(row: Row[Any]) -> Unknown:
    decision = Decision(row.action, row.at) if row.action is not None else None
    settled = how_settled(decision, row.next_opened_at, is_unknown=row.state == "unknown")
    signed = settled in (Settled.PERSON, Settled.RECEIPT)
    return Unknown(
        message_id=row.message_id,
        task=row.task,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        settled=settled,
        settled_at=row.at if signed else None,
        who=row.who if signed else None,
        action=row.action if signed else None,
        state=row.state,
    )


def _limits(connection: Connection, since: datetime, until: datetime) -> Iterator[LimitStep]:
    kinds: tuple[Kind, ...] = ("task", "account", "domain")
    for kind in kinds:
        known = names(connection, kind)
        for of, one in sorted(limits(connection, kind).items()):
            for at_us, limit in one.steps(to_us(since), to_us(until)):
                yield LimitStep(kind, of, known.get(of, "deleted since"), from_us(at_us), limit)


def _plain(rows: Any) -> tuple[dict[str, Any], ...]:
    return tuple(dict(row._mapping) for row in rows)
