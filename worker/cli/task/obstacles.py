"""What keeps an automatic task from sending at this moment, for whoever has just called for it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import Connection, Row

from models.states import Channel
from worker import db
from worker.cli import context
from worker.cli.company import zone_of
from worker.cli.output import warn
from worker.core import fallback
from worker.core.plan import make_plan, next_start, open_until
from worker.outbox import routes
from worker.registers import servers
from worker.registers.safety import installation
from worker.registers.sms_tasks import sms_settings

NameArgument = Annotated[str, typer.Argument(help="Unique in its company.")]


def obstacles(connection: Connection, task: Row[Any], company: Row[Any]) -> list[str]:
    """What keeps an active task from sending at this moment."""
    found = []
    if installation(connection)["stopped_at"] is not None:
        found.append("sending is stopped for the whole installation (`kadencia start-all`)")
    channel = Channel(task.channel)
    server_id = task.acting_server_id or task.server_id
    if not servers.is_alive(connection, server_id, context.silent_after(), channel):
        what = "SMS" if channel is Channel.SMS else "e-mails"
        found.append(
            f"no worker of its OAC server is alive that sends {what} (`kadencia server list`)"
        )
    zone, now = zone_of(company), db.now(connection)
    plan = make_plan(task.plan_days, task.plan_from, task.plan_until, company.time_zone)
    if plan is not None and open_until(plan, now) is None:
        start = next_start(plan, now).astimezone(zone)
        found.append(f"its plan begins at {start:%Y-%m-%d %H:%M %Z}; until then nothing goes")
    found += detours(connection, task)
    if channel is Channel.SMS:
        until = sms_settings(connection, task.id).exhausted_until
        if until is not None and until > now:
            found.append(
                f"its budget is used up until {until.astimezone(zone):%Y-%m-%d %H:%M %Z}; "
                f"raise it with `kadencia task set-sms`"
            )
    return found


def detours(connection: Connection, task: Row[Any]) -> list[str]:
    """Which account the task goes through now, if it is not its own, and why."""
    now = db.now(connection)
    known = routes.standings(connection, task.id, now, context.silent_after())
    aside = fallback.detour(known, fallback.in_charge(known, now), now)
    return [] if aside is None else [f"it goes {aside}"]


def remark(found: list[str]) -> None:
    """Say it on standard error, a line for each."""
    for obstacle in found:
        warn(obstacle)
