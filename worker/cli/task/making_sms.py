"""`kadencia task create-sms` and `set-sms`: automatic tasks that send SMS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.cli import context
from worker.cli.company import CompanyOption
from worker.cli.options import ANY_TASK, Table, option, refuse_missing, takes
from worker.cli.output import say
from worker.cli.task.making import (
    AlwaysOption,
    EverywhereOption,
    NewNameOption,
    NoStandInsOption,
    PausedOption,
    lifted,
    task_values,
)
from worker.cli.task.obstacles import NameArgument, obstacles, remark
from worker.registers import sms_tasks as register
from worker.registers.amounts import euros, seconds
from worker.registers.naming import find_company
from worker.registers.tasks import find_task

SMS_TASK: Table = {
    "eurosms": option(str, "Account at EuroSMS that it sends through."),
    "sender": option(
        str, "Of SMS that name none: at most 11 of A-Z a-z 0-9 space . -, or a number."
    ),
    "cadence": option(str, "Most segments in any 60 minutes: 10 to 3,000.", metavar="RATE"),
    "diacritics": option(
        bool,
        "Allow them (default); else texts are transliterated.",
        "--diacritics/--no-diacritics",
    ),
    "long": option(bool, "Allow texts of several segments (default).", "--long/--no-long"),
    "high_priority": option(
        bool, "Before others at the gateway.", "--high-priority/--no-high-priority"
    ),
    "validity": option(
        str,
        "How long the gateway keeps trying, 1 minute to 7 days; default 48h.",
        metavar="SPAN",
    ),
    "unknown_hours": option(
        int, "How long a report on an unknown SMS is waited for; default 24.", metavar="N"
    ),
    "budget_day": option(str, "Most EUR in a day of the company.", metavar="EUR"),
    "budget_month": option(str, "Most EUR in a month of the company.", metavar="EUR"),
    **ANY_TASK,
}
NEEDED = ("server", "user", "eurosms", "sender", "cadence")
BUDGETS = ("budget_day", "budget_month")


def sms_task_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a task is to be, from the options that were used."""
    values = task_values(given)
    if "long" in values:
        values["long_texts"] = values.pop("long")
    if "validity" in values:
        values["validity_seconds"] = seconds(values.pop("validity"))
    return values | {name: euros(values[name]) for name in BUDGETS if name in values}


@takes(SMS_TASK)
def create(
    name: NameArgument,
    company: CompanyOption = None,
    paused: PausedOption = False,
    *,
    given: dict[str, Any],
) -> None:
    """Make an automatic task that sends SMS.

    Example: kadencia task create-sms SMS --server local --user Odosielanie --eurosms brána
    --sender Ruza --cadence 600 --budget-month 50
    """
    refuse_missing(given, NEEDED)
    values = {"name": name, "active": not paused, **sms_task_values(given)}
    with context.transaction() as connection:
        owner = find_company(connection, company)
        register.create_sms_task(connection, owner, values)
        hindered = obstacles(connection, find_task(connection, owner, name), owner)
    say(f"automatic task {name} of {owner.name} is made, {'paused' if paused else 'active'}")
    remark(hindered if not paused else [])


@takes(SMS_TASK)
def change(
    name: NameArgument,
    new_name: NewNameOption = None,
    always: AlwaysOption = False,
    everywhere: EverywhereOption = False,
    no_stand_ins: NoStandInsOption = False,
    company: CompanyOption = None,
    *,
    given: dict[str, Any],
) -> None:
    """Change an automatic task that sends SMS; it takes effect at once. A budget of 0 goes.

    Example: kadencia task set-sms SMS --budget-day 5 --no-diacritics
    """
    values = sms_task_values(given) | lifted(given, new_name, always, everywhere, no_stand_ins)
    values |= {budget: None for budget in BUDGETS if values.get(budget) == 0}
    with context.transaction() as connection:
        owner = find_company(connection, company)
        task = find_task(connection, owner, name, lock=True)
        changed = register.set_sms_task(connection, task, owner, values)
    say(f"changed: {', '.join(changed).replace('_', ' ') or 'nothing'}")
