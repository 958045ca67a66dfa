"""What is told of the whole fleet: each figure's name, labels and meaning.

Labels are ids of configured things or words from closed lists. What a task or an account is called
stands once, in `kadencia_task_info` and `kadencia_account_info`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of the fleet, as Prometheus sees it."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a figure, with those of its labels in order."""

    figure: Figure
    value: float
    labels: tuple[str, ...] = ()


UP = Figure("kadencia_up", "Whether what the fleet stands on answered within seconds.", ("server",))
BUILD = Figure("kadencia_build_info", "The version of this program.", ("version",))
SCHEMA = Figure(
    "kadencia_schema_current",
    "Whether the database has a schema that this version works with; the label says which.",
    ("revision",),
)
COLLECT = Figure(
    "kadencia_collect_seconds", "How long it took to collect these figures the last time."
)

TASK = Figure(
    "kadencia_task_info",
    "An automatic task: what it is called, and the OAC server in charge of it.",
    ("task", "name", "company", "channel", "server", "account"),
)
TASK_ACTIVE = Figure("kadencia_task_active", "Whether an automatic task is active.", ("task",))
TASK_WAITS = Figure(
    "kadencia_task_waits",
    "What an automatic task waits for until its next sweep: 1 at that.",
    ("task", "what"),
)
TASK_STOOD_IN = Figure(
    "kadencia_task_stood_in",
    "Whether another OAC server has taken an automatic task over from its own.",
    ("task",),
)
ACCOUNT = Figure(
    "kadencia_account_info",
    "An SMTP account or one at EuroSMS: what it is called.",
    ("account", "name", "company", "channel"),
)

BACKLOG = Figure(
    "kadencia_backlog_messages",
    "Messages that are not at an end, by automatic task and state; those of no task have task 0.",
    ("task", "state"),
)
OLDEST = Figure(
    "kadencia_oldest_ready_seconds",
    "For how long the oldest ready message might have gone; 0 if none might.",
    ("task",),
)
ATTEMPTS = Figure(
    "kadencia_attempts_total",
    "Attempts since midnight UTC, by automatic task and outcome.",
    ("task", "outcome"),
    "counter",
)
COST = Figure(
    "kadencia_attempt_cost_total",
    "What these attempts cost: envelope recipients of e-mails, segments of SMS.",
    ("task", "outcome"),
    "counter",
)
PERMITS = Figure(
    "kadencia_permits_total",
    "Permits granted and refused since midnight UTC, by automatic task.",
    ("task", "answer"),
    "counter",
)

CADENCE = Figure(
    "kadencia_cadence_limit",
    "The most recipients, or segments, in any window, by automatic task.",
    ("task",),
)
USED = Figure(
    "kadencia_cadence_used",
    "Recipients, or segments, that the present window holds, as the throttle counts them.",
    ("task",),
)
WORST = Figure(
    "kadencia_worst_window",
    "The fullest of the windows that ended within the last one, from the evidence.",
    ("task",),
)
THROTTLE_OPEN = Figure(
    "kadencia_throttle_open", "Whether the throttle's log is whole, so that permits are granted."
)
GENERATION = Figure("kadencia_throttle_generation", "How often the throttle's log was rebuilt.")

CONNECTIONS_IN_USE = Figure(
    "kadencia_connections_in_use",
    "Messages released or being sent over an account: each may hold a connection.",
    ("account",),
)
CONNECTIONS_MOST = Figure(
    "kadencia_connections_most", "The most connections of an account.", ("account",)
)
BREAKER_OPEN = Figure(
    "kadencia_breaker_open", "Whether an account is left alone for a while.", ("account",)
)
BREAKER_FAILURES = Figure(
    "kadencia_breaker_failures", "Failures of an account in a row.", ("account",)
)
ACCOUNT_ENABLED = Figure(
    "kadencia_account_enabled", "Whether an account may be used.", ("account",)
)

SERVER_AGE = Figure(
    "kadencia_server_heartbeat_age_seconds",
    "Age of the last heartbeat of an OAC server that runs, or ended without signing off.",
    ("server",),
)
PROCESS_AGE = Figure(
    "kadencia_process_heartbeat_age_seconds",
    "Age of the last heartbeat of one `kadencia worker`.",
    ("server", "process"),
)
PROCESS_SLOTS = Figure(
    "kadencia_process_slots",
    "How many messages one `kadencia worker` sends at once.",
    ("server", "process", "channel"),
)
PART_AGE = Figure(
    "kadencia_part_answer_age_seconds",
    "Since when a part of a `kadencia worker` has not shown that it takes tasks.",
    ("server", "process", "part"),
)
CLOCK_OFFSET = Figure(
    "kadencia_clock_offset_seconds",
    "A worker's clock less PostgreSQL's.",
    ("server", "process"),
)
SERVER_PAUSED = Figure("kadencia_server_paused", "Whether an OAC server is paused.", ("server",))
BEAT_AGE = Figure("kadencia_beat_age_seconds", "Since when no beat has looked for what is due.")
STOPPED = Figure("kadencia_stopped", "Whether all sending is stopped.")

QUEUE = Figure("kadencia_queue_length", "Celery tasks that wait in a queue in Redis.", ("queue",))
ALARMS = Figure("kadencia_alarms_open", "Open alarms, by kind.", ("kind",))

SPENT = Figure(
    "kadencia_sms_spent_euros",
    "What an automatic task's SMS have cost on this day, and in this month.",
    ("task", "period"),
)
BUDGET = Figure(
    "kadencia_sms_budget_euros", "What they may cost; absent: anything.", ("task", "period")
)
AWAITED = Figure("kadencia_sms_awaited", "SMS whose delivery reports have not all come.", ("task",))
BALANCE = Figure(
    "kadencia_eurosms_balance_euros", "What was left of an account at EuroSMS.", ("account",)
)
BALANCE_AGE = Figure(
    "kadencia_eurosms_balance_age_seconds", "Since when that is known.", ("account",)
)

INTAKE = Figure(
    "kadencia_intake_documents",
    "What services handed in by SQL or Celery and is no message: waiting, or rejected.",
    ("state",),
)
WEBHOOK_WAITING = Figure(
    "kadencia_webhook_waiting", "Deliveries that a webhook is still to be told.", ("webhook",)
)
WEBHOOK_FAILURES = Figure(
    "kadencia_webhook_failures", "Failures of a webhook in a row.", ("webhook",)
)
WEBHOOK_GIVEN_UP = Figure(
    "kadencia_webhook_given_up",
    "Whether a webhook failed for so long that it is told no more.",
    ("webhook",),
)
