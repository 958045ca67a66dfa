"""Automatic tasks that send SMS: what the others have, and texts, validity and budgets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, func, insert, select

from models.sms import SmsSpend, SmsTask
from models.states import Channel
from worker import db
from worker.core.content import shown
from worker.core.sms_sender import check_sender
from worker.registers import RegisterError, audit, waking
from worker.registers.accounts import check_ranges
from worker.registers.eurosms import has_price
from worker.registers.task_parts import change_task, make_task
from worker.registers.tasks import find_task, refuse_other

BUDGETS = {"budget_day": "budget of a day", "budget_month": "budget of a month"}

OWN = frozenset(
    {
        "sender",
        "diacritics",
        "long_texts",
        "high_priority",
        "validity_seconds",
        "unknown_hours",
        *BUDGETS,
    }
)
"""Columns of `models.sms.SmsTask` that a person sets."""

RANGES: dict[str, tuple[float, float, str]] = {
    "validity_seconds": (60, 604_800, "seconds, which is 1 minute to 7 days"),
    "unknown_hours": (1, 168, "hours"),
}
"""Operators try for 7 days at most; the gateway keeps its reports as long."""


def create_sms_task(connection: Connection, company: Row[Any], values: Mapping[str, Any]) -> int:
    """Make an automatic task that sends SMS.

    Args:
        connection: the caller's transaction.
        company: the row of the company whose SMS it sends.
        values: as `worker.registers.tasks.create_task` takes them, but for `smtp` the name of an
            account at EuroSMS, `eurosms`, and for the sender's name and address the columns of
            `models.sms.SmsTask`; budgets in EUR.

    Returns:
        Its id.

    Raises:
        RegisterError: a rule is broken, or something named is not there.
        ContentError: no SMS can have that sender.
    """
    own = _checked(values)
    general = {name: value for name, value in values.items() if name not in OWN}
    made = make_task(connection, company, general, Channel.SMS)
    connection.execute(insert(SmsTask).values(task_id=made, **own))
    audit.record(connection, "create", f"task:{made}", after=own)
    _refuse_without_estimate(connection, find_task(connection, company, values["name"]))
    return made


def set_sms_task(
    connection: Connection, task: Row[Any], company: Row[Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Change an automatic task that sends SMS; it takes effect with the commit.

    A changed budget lets a task go on whose budget was used up.

    Args:
        connection: the caller's transaction.
        task: its row, locked.
        company: the row of its company.
        values: as `create_sms_task` takes them, only those to be changed; a budget of None goes.

    Returns:
        What differs.

    Raises:
        RegisterError, ContentError: as `create_sms_task`.
    """
    refuse_other(task, Channel.SMS)
    own = _checked(values)
    general = {name: value for name, value in values.items() if name not in OWN}
    changed = change_task(connection, task, company, general) if general else {}
    if own:
        changed |= audit.change(connection, SmsTask, "task", task.id, own)
    if changed.keys() & set(BUDGETS):
        audit.change(connection, SmsTask, "task", task.id, {"exhausted_until": None})
    if changed.keys() & {"account_id", *BUDGETS}:
        name = values.get("name", task.name)
        _refuse_without_estimate(connection, find_task(connection, company, name))
    if changed:
        waking.wake(connection, id=task.id)
    return changed


def sms_settings(connection: Connection, task_id: int) -> Row[Any]:
    """What a task that sends SMS is set to beyond any other."""
    query = select(SmsTask.__table__).where(SmsTask.task_id == task_id)
    return connection.execute(query).one()


def spent(connection: Connection, task_id: int, time_zone: str) -> dict[str, Decimal]:
    """What a task's SMS cost on the company's present day, and in its present month, in EUR."""
    now: datetime = db.now(connection)
    today = now.astimezone(ZoneInfo(time_zone)).date()
    query = select(
        func.coalesce(func.sum(SmsSpend.spent).filter(SmsSpend.day == today), 0),
        func.coalesce(func.sum(SmsSpend.spent), 0),
    ).where(SmsSpend.task_id == task_id, SmsSpend.day.between(today.replace(day=1), today))
    of_day, of_month = connection.execute(query).one()
    return {"spent_today": of_day, "spent_this_month": of_month}


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in values.items() if name in OWN}
    check_ranges(own, RANGES)
    if "sender" in own:
        own["sender"] = check_sender(own["sender"])
    for name, words in BUDGETS.items():
        if own.get(name) is not None and own[name] <= 0:
            raise RegisterError(
                f"the {words} is {own[name]} EUR", "give more than 0, or leave it out"
            )
    return own


def _refuse_without_estimate(connection: Connection, task: Row[Any]) -> None:
    own = sms_settings(connection, task.id)
    if own.budget_day is None and own.budget_month is None:
        return
    if not has_price(connection, task.account_id):
        raise RegisterError(
            f"the automatic task {shown(task.name)} has a budget, and nobody knows what an SMS "
            f"over its account at EuroSMS costs",
            "give the account a price first, with `kadencia eurosms set NAME --price 0.05`",
        )
