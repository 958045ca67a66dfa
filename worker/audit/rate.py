"""The audit of the rate: from the attempts in PostgreSQL alone, whatever Redis counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, TextClause, text

from worker import db
from worker.core.instants import from_us, to_us
from worker.core.rate import Limits, RateWatch
from worker.outbox import evidence
from worker.outbox.evidence import HandedOver

Kind = Literal["task", "account", "domain"]
Key = tuple[Kind, int, str]
"""Kind, id of the task or account, and the domain or nothing."""

TASKS = text("SELECT id, name, cadence AS now FROM automatic_task")
ACCOUNTS = text("SELECT id, name, hourly_limit AS now FROM account")
DOMAINS = text("SELECT id, name, domain_hourly_limit AS now FROM account")

ACCOUNT = ["smtp", "eurosms"]
LOGGED: dict[Kind, tuple[list[str], str, TextClause]] = {
    "task": (["task"], "cadence", TASKS),
    "account": (ACCOUNT, "hourly", ACCOUNTS),
    "domain": (ACCOUNT, "domain", DOMAINS),
}
"""Under which subjects and name the log has a limit, and where the present one stands."""

CHANGES = text("""
    SELECT CAST(split_part(subject, ':', 2) AS bigint) AS id, at,
        CAST(coalesce(before, after) ->> :field AS integer) AS before,
        CAST(after ->> :field AS integer) AS after
    FROM audit_log
    WHERE action = 'limit' AND split_part(subject, ':', 1) = ANY (CAST(:kinds AS text[]))
    ORDER BY at, audit_log.id
""")


@dataclass(frozen=True, slots=True)
class Finding:
    """The worst window of one budget.

    Attributes:
        kind: whose budget: an automatic task, an account, a domain at an account.
        id: of the task or account.
        name: of the task or account.
        domain: recipients' domain; "" unless `kind` says so.
        handed_over: envelope recipients handed over in the time that was looked at.
        worst: envelope recipients in the worst window: the one that most exceeds its limit,
            or the fullest.
        worst_from: where that window begins, itself not in it.
        worst_until: where it ends: its last hand-over.
        limit: in force at the last permit of that window; None is none.
    """

    kind: Kind
    id: int
    name: str
    domain: str
    handed_over: int
    worst: int
    worst_from: datetime
    worst_until: datetime
    limit: int | None

    @property
    def exceeded(self) -> bool:
        """Whether the window holds more than its limit."""
        return self.limit is not None and self.worst > self.limit


@dataclass(frozen=True, slots=True)
class RateAudit:
    """What the audit found, tasks first, then accounts, then domains.

    Attributes:
        since: windows that end after this were judged.
        until: up to here; now, if a later time was asked for.
        window: length of each.
        findings: of every budget under which something was handed over.
    """

    since: datetime
    until: datetime
    window: timedelta
    findings: tuple[Finding, ...]

    @property
    def exceeded(self) -> tuple[Finding, ...]:
        """The findings that exceed their limit."""
        return tuple(finding for finding in self.findings if finding.exceeded)


def audit_rate(
    connection: Connection,
    since: datetime,
    until: datetime,
    window: timedelta,
    *,
    dot_by: timedelta,
    handover_max: timedelta,
    also: Callable[[HandedOver], None] | None = None,
) -> RateAudit:
    """Find the worst window of each automatic task, account and limited domain.

    An answered hand-over counts when its attempt was closed, one without an answer when its
    dot was due. Domains are judged at accounts that had a limit for them at any time.

    Args:
        connection: rows are streamed over it.
        since: windows that end after this, aware.
        until: and not after this, aware.
        window: length of a window.
        dot_by: the latest from a claim to its dot.
        handover_max: the latest from a claim to the answer to its dot.
        also: is given each hand-over as well, oldest first, from a window before `since`.

    Raises:
        ValueError: `until` is not after `since`.
    """
    until = min(until, db.now(connection))
    if until <= since:
        raise ValueError(f"no time lies between {since.isoformat()} and {until.isoformat()}")
    book = _Book(connection, since, window, dot_by)
    hand_overs = evidence.handed_over(
        connection, since - window, until, dot_by=dot_by, handover_max=handover_max
    )
    for one in hand_overs:
        book.add(one)
        if also is not None:
            also(one)
    return RateAudit(since, until, window, book.findings())


class _Book:
    """A watch for each budget, made when something is handed over under it."""

    def __init__(
        self, connection: Connection, since: datetime, window: timedelta, slack: timedelta
    ) -> None:
        self._since_us = to_us(since)
        self._length_us = window // timedelta(microseconds=1)
        self._slack_us = slack // timedelta(microseconds=1)
        self._limits = {
            "task": limits(connection, "task"),
            "account": limits(connection, "account"),
            "domain": limits(connection, "domain"),
        }
        self._names = {"task": names(connection, "task"), "account": names(connection, "account")}
        self._watches: dict[Key, RateWatch] = {}

    def add(self, one: HandedOver) -> None:
        """Take in a hand-over under each of its budgets."""
        at_us, opened_us = to_us(one.at), to_us(one.opened_at)
        costs: dict[Key, int] = {
            ("task", one.task_id, ""): one.cost,
            ("account", one.account_id, ""): one.cost,
        }
        if self._limits["domain"][one.account_id].ever:
            costs |= {("domain", one.account_id, name): n for name, n in one.domains.items()}
        for key, cost in costs.items():
            self._watch(key).add(at_us, cost, opened_us)

    def findings(self) -> tuple[Finding, ...]:
        """What each budget's worst window was, leaving out those that were idle."""
        order = ("task", "account", "domain")
        keys = sorted(self._watches, key=lambda key: (order.index(key[0]), key[1:]))
        return tuple(self._finding(key) for key in keys if self._watches[key].total)

    def _watch(self, key: Key) -> RateWatch:
        if key not in self._watches:
            self._watches[key] = RateWatch(
                self._length_us,
                self._limits[key[0]][key[1]],
                since_us=self._since_us,
                slack_us=self._slack_us,
            )
        return self._watches[key]

    def _finding(self, key: Key) -> Finding:
        (kind, of, domain), watch = key, self._watches[key]
        end = watch.worst.end_us
        return Finding(
            kind=kind,
            id=of,
            name=self._names["task" if kind == "task" else "account"][of],
            domain=domain,
            handed_over=watch.total,
            worst=watch.worst.total,
            worst_from=from_us(end - self._length_us),
            worst_until=from_us(end),
            limit=watch.worst.limit,
        )


def names(connection: Connection, kind: Kind) -> dict[int, str]:
    """What the tasks, or else the accounts, are called."""
    return {row.id: row.name for row in connection.execute(LOGGED[kind][2])}


def limits(connection: Connection, kind: Kind) -> Mapping[int, Limits]:
    """Each task's or account's limit through time; the present one where no change is on record."""
    subjects, field, present = LOGGED[kind]
    found = {row.id: Limits(row.now) for row in connection.execute(present)}
    changes: dict[int, list[tuple[int, int | None]]] = {}
    first: dict[int, int | None] = {}
    for row in connection.execute(CHANGES, {"kinds": subjects, "field": field}):
        first.setdefault(row.id, row.before)
        changes.setdefault(row.id, []).append((to_us(row.at), row.after))
    return found | {of: Limits(first[of], tuple(changes[of])) for of in changes}
