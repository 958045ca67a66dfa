"""Which alarms should be open, from what is known of the fleet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from worker.core.alarm_facts import AccountFacts, Facts, GatewayFacts, TaskFacts, WebhookFacts

REJECTED_SHARE = 0.2
REJECTED_LEAST = 20
"""Chosen: above both, recipients are refused in a way that gets a sender listed."""

BREAKER_FAILURES = 3
"""Chosen: a restart of the SMTP server is over before its third refusal in a row."""


POLL_FAILURES = 3
"""Chosen: a restart of the gateway is over before the third question after reports has failed."""

LOW_SEGMENTS = 100
LOW_BALANCE = Decimal(5)
"""Chosen: what is left is low below the price of so many segments; below so many EUR where no
price is known."""


class Kind(StrEnum):
    """What an alarm is about."""

    UNKNOWN = "unknown"
    """Messages wait for a person: nobody knows whether they went."""
    BREAKER = "breaker"
    """An account refuses us."""
    AUTH = "auth"
    """An SMTP account refuses our log-in: trying again does not help."""
    SERVER_SILENT = "server-silent"
    TASK_WITHOUT_SERVER = "task-without-server"
    STAND_IN = "stand-in"
    """An automatic task runs on another OAC server than its own."""
    FAILURES = "failures"
    """Suspiciously many recipients are refused."""
    STOPPED = "stopped"
    """Nothing is sent in the whole installation."""
    TASK_PAUSED = "task-paused"
    """An automatic task was paused by the product: its account refuses everything."""
    BUDGET = "budget"
    """An automatic task has spent all that it may for now."""
    REPORTS = "reports"
    """Delivery reports are awaited and cannot be had."""
    LOW_BALANCE = "low-balance"
    """An account at EuroSMS is nearly spent."""
    INTAKE = "intake"
    """What services handed in by SQL or Celery was rejected, or is not taken in."""
    WEBHOOK = "webhook"
    """A webhook's receiver takes nothing, so the product has disabled it; or nobody tells it."""


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


def concerns(facts: Facts) -> list[Concern]:
    """What a person should look at now.

    >>> concerns(Facts(silent_servers=["main"]))[0].subject
    'server:main'
    """
    return [
        *_of_installation(facts),
        *_of_intake(facts),
        *(one for task in facts.tasks for one in _of_task(task)),
        *(one for account in facts.accounts for one in _of_account(account)),
        *(one for gateway in facts.gateways for one in _of_gateway(gateway)),
        *(_silent(name) for name in facts.silent_servers),
        *(_of_webhook(webhook) for webhook in facts.webhooks),
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


def _of_intake(facts: Facts) -> Iterator[Concern]:
    if facts.rejected:
        yield Concern(
            Kind.INTAKE,
            "intake:rejected",
            f"{facts.rejected} documents that services handed in were rejected; see "
            f"`kadencia intake list`, then retry or dismiss them",
        )
    if facts.intake_stuck:
        yield Concern(
            Kind.INTAKE,
            "intake:waiting",
            "what services handed in by SQL has waited for a minute; see that `kadencia beat` and "
            "a worker run",
        )


def _of_task(task: TaskFacts) -> Iterator[Concern]:
    subject = f"task:{task.id}" if task.id is not None else "outbox"
    if task.unknown:
        yield Concern(
            Kind.UNKNOWN,
            subject,
            f"{task.name}: of {task.unknown} messages nobody knows whether they went; "
            f"{settle_unknown(sms=task.sms)}",
        )
    if looks_suspicious(task.attempts, task.rejected):
        yield Concern(
            Kind.FAILURES,
            subject,
            f"{task.name}: of {task.attempts} attempts in 15 minutes {task.rejected} were "
            f"refused for good; look at the replies"
            f"{'' if task.sms else ' before a relay lists you'}",
        )
    yield from _of_servers(task, subject)
    if task.paused_why is not None:
        yield Concern(
            Kind.TASK_PAUSED,
            subject,
            f"{task.name} was paused: {task.paused_why} with `kadencia task resume`",
        )
    if task.exhausted_until is not None:
        yield Concern(
            Kind.BUDGET,
            subject,
            f"{task.name} has used up its budget and sends nothing until "
            f"{task.exhausted_until:%Y-%m-%d %H:%M} UTC; `kadencia task set-sms` raises it",
        )


def _of_servers(task: TaskFacts, subject: str) -> Iterator[Concern]:
    if task.stranded:
        yield Concern(
            Kind.TASK_WITHOUT_SERVER,
            subject,
            f"{task.name} is due, but its OAC server {task.server} does not run; start "
            f"`kadencia worker --server {task.server}`, or give the task another server",
        )
    if task.stands_in_for is not None:
        yield Concern(
            Kind.STAND_IN,
            subject,
            f"{task.name}: {task.server} stands in for its OAC server {task.stands_in_for}; start "
            f"`kadencia worker --server {task.stands_in_for}` there again",
        )


def settle_unknown(*, sms: bool) -> str:
    """What a person does about unknown messages.

    >>> settle_unknown(sms=False)
    'see `kadencia mail list --state unknown`, settle with `kadencia mail resolve`'
    """
    command = "kadencia sms" if sms else "kadencia mail"
    return f"see `{command} list --state unknown`, settle with `{command} resolve`"


def looks_suspicious(attempts: int, rejected: int) -> bool:
    """Whether so many refusals among so many attempts are no everyday affair.

    >>> looks_suspicious(100, 20), looks_suspicious(100, 21), looks_suspicious(30, 19)
    (False, True, False)
    """
    return rejected >= REJECTED_LEAST and rejected > REJECTED_SHARE * attempts


def _of_account(account: AccountFacts) -> Iterator[Concern]:
    subject = f"{'eurosms' if account.sms else 'smtp'}:{account.id}"
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


def _of_gateway(gateway: GatewayFacts) -> Iterator[Concern]:
    subject = f"eurosms:{gateway.id}"
    if gateway.poll_failures >= POLL_FAILURES:
        yield Concern(
            Kind.REPORTS,
            subject,
            f"{gateway.name}: delivery reports were asked for {gateway.poll_failures} times in "
            f"vain: {gateway.poll_why}; `kadencia eurosms test` tries the account. EuroSMS keeps "
            f"them for 7 days",
        )
    elif gateway.poll_overdue:
        yield Concern(
            Kind.REPORTS,
            subject,
            f"{gateway.name}: delivery reports are awaited and were not fetched for an hour; see "
            f"that `kadencia beat` runs, and a worker that sends SMS",
        )
    if is_low(gateway.balance, gateway.price):
        yield Concern(
            Kind.LOW_BALANCE,
            subject,
            f"{gateway.name}: {gateway.balance:.2f} EUR were left when last seen; top it up, then "
            f"run `kadencia eurosms balance`",
        )


def is_low(balance: Decimal | None, price: Decimal | None) -> bool:
    """Whether what is left of an account's credit, in EUR, will soon be spent.

    >>> is_low(Decimal("4.99"), None), is_low(Decimal(4), Decimal("0.03")), is_low(None, None)
    (True, False, False)
    """
    if balance is None:
        return False
    return balance < (LOW_BALANCE if price is None else LOW_SEGMENTS * price)


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


def _of_webhook(webhook: WebhookFacts) -> Concern:
    subject = f"webhook:{webhook.id}"
    if webhook.disabled_why is None:
        return Concern(
            Kind.WEBHOOK,
            subject,
            f"webhook {webhook.id} at {webhook.host} is told nothing: no courier runs; start "
            f"`kadencia api` or `kadencia webhook run`",
        )
    return Concern(
        Kind.WEBHOOK,
        subject,
        f"webhook {webhook.id} at {webhook.host} was disabled: {webhook.disabled_why}; once its "
        f"receiver works, `kadencia webhook enable {webhook.id}`",
    )
