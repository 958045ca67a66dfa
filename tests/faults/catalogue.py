"""Every fault there is."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults import (
    others,
    postgres_fails,
    processes_die,
    redis_fails,
    sms_gateway_fails,
    sms_processes_die,
    sms_pushes,
    sms_services_fail,
    smtp_fails,
)
from tests.faults.fault import Fault

FAULTS: list[Fault] = [
    *processes_die.FAULTS,
    *redis_fails.FAULTS,
    *postgres_fails.FAULTS,
    *smtp_fails.FAULTS,
    *others.FAULTS,
]
"""Of a fleet that sends e-mails."""

SMS_FAULTS: list[Fault] = [
    *sms_processes_die.FAULTS,
    *sms_gateway_fails.FAULTS,
    *sms_services_fail.FAULTS,
    *sms_pushes.FAULTS,
]


def named(parts: Sequence[str], among: Sequence[Fault]) -> list[Fault]:
    """Those whose names hold any of these words, whatever the case."""
    wanted = [part.lower() for part in parts]
    return [fault for fault in among if any(part in fault.name.lower() for part in wanted)]
