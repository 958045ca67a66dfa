"""Which alarms should be open, from what is known of the fleet."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

REJECTED_SHARE = 0.2
REJECTED_LEAST = 20
"""Chosen: above both, recipients are refused in a way that gets a sender listed."""

BREAKER_FAILURES = 3
"""Chosen: a restart of the SMTP server is over before its third refusal in a row."""


class Kind(StrEnum):
    """What an alarm is about."""

    UNKNOWN = "unknown"
    """Messages wait for a person: nobody knows whether they went."""
    BREAKER = "breaker"
    """An SMTP account refuses us."""
    AUTH = "auth"
    """An SMTP account refuses our log-in: trying again does not help."""
    SERVER_SILENT = "server-silent"
    TASK_WITHOUT_SERVER = "task-without-server"
    FAILURES = "failures"
    """Suspiciously many recipients are refused."""
    STOPPED = "stopped"
    """Nothing is sent in the whole installation."""


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing that a person should look at.

    Attributes:
        kind: what it is about.
        subject: the kind and id of what it is at, as in `task:3`; with the kind it tells
            this concern from all others.
        what: in one sentence, with what helps.
    """

    kind: Kind
    subject: str
    what: str


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """An automatic task; counts of attempts are those of the last 15 minutes.

    Attributes:
        id: its number; None for messages that no task has released.
        name: as people know it.
        server: its OAC server.
        unknown: messages that are unknown.
        attempts: closed and not void.
        rejected: of these.
        stranded: it is due, and its OAC server has no live process.
    """

    id: int | None
    name: str
    server: str
    unknown: int = 0
    attempts: int = 0
    rejected: int = 0
    stranded: bool = False


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """An SMTP account that refused us last time."""

    id: int
    name: str
    failures: int
    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the fleet at one moment."""

    stopped_why: str | None = None
    restored: bool = False
    tasks: Sequence[TaskFacts] = ()
    accounts: Sequence[AccountFacts] = ()
    silent_servers: Collection[str] = ()


def concerns(facts: Facts) -> list[Concern]:
    """What a person should look at now.

    >>> concerns(Facts(silent_servers=["main"]))[0].subject
    'server:main'
    """
    return [
        *_of_installation(facts),
        *(one for task in facts.tasks for one in _of_task(task)),
        *(one for account in facts.accounts for one in _of_account(account)),
        *(_silent(name) for name in facts.silent_servers),
    ]


def _of_installation(facts: Facts) -> Iterator[Concern]:
    if facts.restored:
        yield Concern(
            Kind.STOPPED,
            "installation",
            "nothing is sent: the database was restored from a backup. Review the unknown "
            "messages, then run `kadencia start-all --reviewed`",
        )
    elif facts.stopped_why is not None:
        why = facts.stopped_why or "no reason was given"
        yield Concern(
            Kind.STOPPED,
            "installation",
            f"nothing is sent: all sending was stopped ({why}); `kadencia start-all` ends it",
        )


def _of_task(task: TaskFacts) -> Iterator[Concern]:
    subject = f"task:{task.id}" if task.id is not None else "outbox"
    if task.unknown:
        yield Concern(
            Kind.UNKNOWN,
            subject,
            f"{task.name}: of {task.unknown} messages nobody knows whether they went; "
            f"see `kadencia mail list --state unknown`, settle with `kadencia mail resolve`",
        )
    if looks_suspicious(task.attempts, task.rejected):
        yield Concern(
            Kind.FAILURES,
            subject,
            f"{task.name}: of {task.attempts} attempts in 15 minutes {task.rejected} were "
            f"refused for good; look at the replies before a relay lists you",
        )
    if task.stranded:
        yield Concern(
            Kind.TASK_WITHOUT_SERVER,
            subject,
            f"{task.name} is due, but its OAC server {task.server} does not run; start "
            f"`kadencia worker --server {task.server}`, or give the task another server",
        )


def looks_suspicious(attempts: int, rejected: int) -> bool:
    """Whether so many refusals among so many attempts are no everyday affair.

    >>> looks_suspicious(100, 20), looks_suspicious(100, 21), looks_suspicious(30, 19)
    (False, True, False)
    """
    return rejected >= REJECTED_LEAST and rejected > REJECTED_SHARE * attempts


def _of_account(account: AccountFacts) -> Iterator[Concern]:
    subject = f"smtp:{account.id}"
    if is_log_in(account.why):
        yield Concern(
            Kind.AUTH,
            subject,
            f"{account.name} refuses our log-in: {account.why}; correct it with "
            f"`kadencia smtp set`, and try it with `kadencia smtp test`",
        )
    elif account.failures >= BREAKER_FAILURES:
        until = f" until {account.until:%H:%M:%S} UTC" if account.until else ""
        yield Concern(
            Kind.BREAKER,
            subject,
            f"{account.name} was left alone{until} after {account.failures} failures in a row: "
            f"{account.why}",
        )


def is_log_in(why: str) -> bool:
    """Whether these words of a transport tell of a refused log-in.

    >>> is_log_in("auth: 535 5.7.8 bad credentials"), is_log_in("mail: 421 too many")
    (True, False)
    """
    return "auth: " in f" {why}".lower()


def _silent(name: str) -> Concern:
    return Concern(
        Kind.SERVER_SILENT,
        f"server:{name}",
        f"OAC server {name} gives no sign of life; look at its host and its log, "
        f"and start `kadencia worker --server {name}` again",
    )
