"""`kadencia task list`, `show` and `journal`: automatic tasks of both channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from worker.cli import context
from worker.cli.company import CompanyOption, zone_of
from worker.cli.output import JsonOption, at_least, show_one, show_rows
from worker.cli.task.obstacles import NameArgument, obstacles, remark
from worker.registers import task_views
from worker.registers import tasks as register
from worker.registers.naming import find_company

COLUMNS = [
    "name",
    "company",
    "state",
    "server",
    "plan",
    "cadence",
    "sent_last_hour",
    "backlog",
    "waits_for",
    "next_run_at",
]
JOURNAL = [
    "started_at",
    "ended_at",
    "sweeps",
    "released",
    "last_sweep_at",
    "why_not_more",
    "event",
]


def listing(company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """List automatic tasks, of all companies unless one is named.

    Example: kadencia task list
    """
    window, longest = context.window(), context.longest_handover()
    with context.transaction() as connection:
        owner = None if company is None else find_company(connection, company).id
        rows = task_views.tasks(connection, owner, window, longest)
    show_rows(rows if as_json else [_local(row) for row in rows], COLUMNS, as_json)


def show(name: NameArgument, company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """Show all of an automatic task.

    Example: kadencia task show Pošta
    """
    window, longest = context.window(), context.longest_handover()
    with context.transaction() as connection:
        owner = find_company(connection, company)
        task = register.find_task(connection, owner, name)
        shown = task_views.shown_task(connection, task, window, longest)
        hindered = obstacles(connection, task, owner)
    if as_json:
        show_one({**shown, "obstacles": hindered}, as_json)
        return
    shown["backlog"] = at_least(shown, "backlog")
    del shown["backlog_is_more"], shown["time_zone"]
    show_one(shown, as_json, zone_of(owner))
    remark(hindered)


def journal(
    name: NameArgument,
    most: Annotated[int, typer.Option(min=1, help="The most runs that are shown.")] = 20,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the last runs of an automatic task, and which server took it over; newest first.

    Example: kadencia task journal Pošta --most 5
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        task = register.find_task(connection, owner, name)
        rows = task_views.journal(connection, task, most)
    show_rows(rows, JOURNAL, as_json, zone_of(owner))


def _local(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line with its times in its own company's zone."""
    at = row["next_run_at"]
    local = None if at is None else at.astimezone(ZoneInfo(row["time_zone"]))
    return {**row, "next_run_at": local, "backlog": at_least(row, "backlog")}
