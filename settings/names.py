"""The names of Celery tasks and queues, each written down once."""

from __future__ import annotations

import re
from enum import StrEnum

SERVER_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
"""What an OAC server may be called: it becomes part of queue and node names."""

CONTROL_QUEUE = "kadencia.control"
"""Periodic work that any server's control process may do: recover, retention, alarms."""

INTAKE_QUEUE = "kadencia.intake"
"""Taking in what was handed in by SQL: a queue apart, since version 0.1.0 does not know the task
and would throw it away."""

ENQUEUE_QUEUE = "kadencia.enqueue"
"""Where other applications hand in e-mails and SMS; control processes empty it last."""

OWN_QUEUES = "kadencia.process."
"""What the names of each process's own queues begin with."""


class Task(StrEnum):
    """Celery's task names."""

    SWEEP = "kadencia.sweep"
    SEND = "kadencia.send"
    SEND_SMS = "kadencia.send_sms"
    POLL_REPORTS = "kadencia.poll_reports"
    RECOVER = "kadencia.recover"
    RETAIN = "kadencia.retain"
    CANARY = "kadencia.canary"
    TAKE_IN = "kadencia.take_in"
    ENQUEUE_EMAIL = "kadencia.enqueue_email"
    ENQUEUE_SMS = "kadencia.enqueue_sms"


ID_TASKS = frozenset(
    {
        Task.SWEEP,
        Task.SEND,
        Task.SEND_SMS,
        Task.POLL_REPORTS,
        Task.RECOVER,
        Task.RETAIN,
        Task.CANARY,
        Task.TAKE_IN,
    }
)
"""Tasks that are published by the fleet alone and take ids: what Flower may show of them."""


ROUTES: dict[str, dict[str, str]] = {
    Task.RECOVER: {"queue": CONTROL_QUEUE},
    Task.RETAIN: {"queue": CONTROL_QUEUE},
    Task.TAKE_IN: {"queue": INTAKE_QUEUE},
    Task.ENQUEUE_EMAIL: {"queue": ENQUEUE_QUEUE},
    Task.ENQUEUE_SMS: {"queue": ENQUEUE_QUEUE},
}
"""Where a task goes that belongs to no server; sweeps, sends and canaries are addressed."""


def sweep_queue(server: str) -> str:
    """The queue of a server's control process.

    >>> sweep_queue("local")
    'oac.local.sweep'
    """
    return f"oac.{server}.sweep"


def send_queue(server: str) -> str:
    """The queue of a server's sending processes.

    >>> send_queue("local")
    'oac.local'
    """
    return f"oac.{server}"


def first_queue(server: str) -> str:
    """The queue of a server's transactional messages, which its processes empty first.

    >>> first_queue("local")
    'oac.local.first'
    """
    return f"oac.{server}.first"


def eurosms_queue(server: str) -> str:
    """The queue of a server's processes that send SMS.

    >>> eurosms_queue("local")
    'oac.local.eurosms'
    """
    return f"oac.{server}.eurosms"


def eurosms_first_queue(server: str) -> str:
    """The queue of a server's transactional SMS.

    >>> eurosms_first_queue("local")
    'oac.local.eurosms.first'
    """
    return f"oac.{server}.eurosms.first"


def eurosms_reports_queue(server: str) -> str:
    """The queue of what asks EuroSMS for delivery reports, of the same processes.

    >>> eurosms_reports_queue("local")
    'oac.local.eurosms.reports'
    """
    return f"oac.{server}.eurosms.reports"


def own_queue(process: str, part: str) -> str:
    """The queue of one part of one `kadencia worker`, for canaries.

    Args:
        process: its id.
        part: "control", "send" or "eurosms".

    >>> own_queue("0f3c", "send")
    'kadencia.process.0f3c.send'
    """
    return f"{OWN_QUEUES}{process}.{part}"


def server_queues(server: str) -> list[str]:
    """Every queue of an OAC server.

    >>> server_queues("local")[:2]
    ['oac.local.sweep', 'oac.local']
    """
    queues = (
        sweep_queue,
        send_queue,
        first_queue,
        eurosms_queue,
        eurosms_first_queue,
        eurosms_reports_queue,
    )
    return [queue(server) for queue in queues]
