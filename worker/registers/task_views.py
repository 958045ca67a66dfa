"""Automatic tasks as people look at them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, select
from sqlalchemy.orm import aliased

from models.automation import Account, AutomaticTask, TaskRun
from models.fleet import Server
from models.organisation import Company, User
from models.states import Channel
from worker.outbox import figures
from worker.registers import stand_ins
from worker.registers.fallbacks import fallbacks_of
from worker.registers.plans import plan_text
from worker.registers.sms_tasks import sms_settings, spent
from worker.registers.task_parts import ACCOUNT_PARTS, establishments_of

TYPES = {
    Channel.EMAIL: "Automatické odosielanie e-mailov",
    Channel.SMS: "Posielanie SMS správ cez EuroSMS",
}
"""What the original calls them."""

OF_EMAIL = ("sender_name", "sender_address", "envelope_sender")
OF_SMS = (
    "sender",
    "diacritics",
    "long_texts",
    "high_priority",
    "validity_seconds",
    "unknown_hours",
    "budget_day",
    "budget_month",
    "exhausted_until",
)
SETTINGS = (
    "cadence_ceiling",
    "reserve",
    "retry_first",
    "retry_longest",
    "most_attempts",
    "unknown_policy",
    "stand_in_after",
    "sweep_no",
    "created_at",
)
"""What `show` tells beyond a line of the listing."""


def tasks(
    connection: Connection, company_id: int | None, window: timedelta, longest: timedelta
) -> list[dict[str, Any]]:
    """Automatic tasks of a company, or of all, with their backlog and what they sent lately.

    Args:
        connection: the caller's transaction.
        company_id: None for all companies.
        window: of the cadence; what was sent in the last one is counted.
        longest: the most between an attempt's opening and its answer.
    """
    query = _listing().order_by(Company.name, AutomaticTask.name)
    if company_id is not None:
        query = query.where(AutomaticTask.company_id == company_id)
    return [_line(connection, row, window, longest) for row in connection.execute(query).all()]


def shown_task(
    connection: Connection, task: Row[Any], window: timedelta, longest: timedelta
) -> dict[str, Any]:
    """All of one automatic task; of one that sends SMS, what it has spent as well."""
    row = connection.execute(_listing().where(AutomaticTask.id == task.id)).one()
    places = list(establishments_of(connection, task.id).values())
    return {
        **_line(connection, row, window, longest),
        "paused_why": row.paused_why,
        "establishments": places or "all",
        "stand_ins": stand_ins.stand_ins_of(connection, row.id),
        "in_charge": row.in_charge,
        **_own(connection, row),
        **{name: getattr(row, name) for name in SETTINGS},
    }


def _own(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    """What tasks of its channel alone have."""
    if row.channel == Channel.EMAIL:
        known = {name: getattr(row, name) for name in OF_EMAIL}
        return known | {"fallbacks": fallbacks_of(connection, row.id)}
    own = sms_settings(connection, row.id)
    return {name: getattr(own, name) for name in OF_SMS} | spent(connection, row.id, row.time_zone)


def journal(connection: Connection, task: Row[Any], most: int) -> list[dict[str, Any]]:
    """The last runs of an automatic task, and changes of its server, newest first."""
    found = connection.execute(
        select(
            TaskRun.started_at,
            TaskRun.ended_at,
            TaskRun.sweeps,
            TaskRun.released,
            TaskRun.last_sweep_at,
            TaskRun.why_not_more,
        )
        .where(TaskRun.task_id == task.id)
        .order_by(TaskRun.started_at.desc())
        .limit(most)
    )
    runs = [{**row._mapping, "event": None} for row in found]
    changes = [_entry(one) for one in stand_ins.changes(connection, task.id, most)]
    newest = sorted([*runs, *changes], key=lambda entry: entry["started_at"], reverse=True)
    return newest[:most]


def _entry(change: Mapping[str, Any]) -> dict[str, Any]:
    """A change of the server in charge, as an entry of the journal."""
    return {
        "started_at": change["at"],
        "ended_at": change["at"],
        **dict.fromkeys(("sweeps", "released", "last_sweep_at", "why_not_more")),
        "event": f"{change['to']} takes over from {change['from']}: {change['why']}",
    }


def _listing() -> Select[Any]:
    acting = aliased(Server)
    return (
        select(
            AutomaticTask.__table__,
            Company.name.label("company"),
            Company.time_zone,
            Server.name.label("server"),
            acting.name.label("in_charge"),
            User.name.label("user"),
            Account.name.label("account"),
        )
        .join(Company, Company.id == AutomaticTask.company_id)
        .join(Server, Server.id == AutomaticTask.server_id)
        .join(acting, acting.id == stand_ins.in_charge())
        .join(User, User.id == AutomaticTask.user_id)
        .join(Account, Account.id == AutomaticTask.account_id)
    )


def _line(
    connection: Connection, row: Row[Any], window: timedelta, longest: timedelta
) -> dict[str, Any]:
    waiting = figures.backlog(connection, [row.id])
    return {
        "name": row.name,
        "type": TYPES[Channel(row.channel)],
        "company": row.company,
        "time_zone": row.time_zone,
        "state": "active" if row.active else "paused",
        "server": row.server,
        "user": row.user,
        ACCOUNT_PARTS[Channel(row.channel)]: row.account,
        "plan": plan_text(row.plan_days, row.plan_from, row.plan_until),
        "cadence": row.cadence,
        "sent_last_hour": figures.sent(connection, [row.id], window, longest),
        "backlog": waiting.least,
        "backlog_is_more": waiting.more,
        "waits_for": row.waits_for,
        "next_run_at": row.next_run_at,
    }
