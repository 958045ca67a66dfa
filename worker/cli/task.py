"""`kadencia task`: automatic tasks, which send a company's messages at their cadence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Connection, Row

from worker import db
from worker.cli import context
from worker.cli.company import CompanyOption, zone_of
from worker.cli.options import TASK, refuse_missing, takes
from worker.cli.output import CommandError, JsonOption, at_least, say, show_one, show_rows, warn
from worker.core.plan import make_plan, next_start, open_until
from worker.registers import servers, task_views
from worker.registers import tasks as register
from worker.registers.naming import find_company
from worker.registers.plans import NO_PLAN, plan_columns
from worker.registers.rates import per_hour
from worker.registers.safety import installation

app = typer.Typer(
    no_args_is_help=True, help="Automatic tasks: what sends which messages, how fast."
)

NEEDED = ("server", "user", "smtp", "sender_name", "sender_address", "cadence")
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
RENAMED = {"unknown": "unknown_policy", "ceiling": "cadence_ceiling"}

NameArgument = Annotated[str, typer.Argument(help="Unique in its company.")]


RATES = ("cadence", "reserve", "ceiling", "cadence_ceiling")


def task_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a task is to be, from the options that were used."""
    values = {RENAMED.get(name, name): value for name, value in given.items()}
    values |= plan_columns(values.pop("days", None), values.pop("hours", None))
    values |= {name: per_hour(str(values[name])) for name in RATES if name in values}
    if "establishment" in values:
        values["establishments"] = values.pop("establishment")
    if "unknown_policy" in values:
        values["unknown_policy"] = str(values["unknown_policy"])
    return values


@app.command("create")
@takes(TASK)
def create(
    name: NameArgument,
    company: CompanyOption = None,
    paused: Annotated[bool, typer.Option("--paused", help="Release nothing yet.")] = False,
    *,
    given: dict[str, Any],
) -> None:
    """Make an automatic task that sends e-mails.

    Example: kadencia task create Pošta --server local --user Odosielanie --smtp relay
    --sender-name "Kvetinárstvo Ruža" --sender-address info@ruza.example --cadence 1200
    """
    refuse_missing(given, NEEDED)
    values = {"name": name, "active": not paused, **task_values(given)}
    with context.transaction() as connection:
        owner = find_company(connection, company)
        register.create_task(connection, owner, values)
        task = register.find_task(connection, owner, name)
        obstacles = _obstacles(connection, task, owner)
    say(f"automatic task {name} of {owner.name} is made, {'paused' if paused else 'active'}")
    _warn(obstacles if not paused else [])


@app.command("set")
@takes(TASK)
def change(
    name: NameArgument,
    new_name: Annotated[str | None, typer.Option("--name", help="As it shall be called.")] = None,
    always: Annotated[bool, typer.Option("--always", help="Run without a plan.")] = False,
    everywhere: Annotated[
        bool, typer.Option("--all-establishments", help="Not limited to any.")
    ] = False,
    company: CompanyOption = None,
    *,
    given: dict[str, Any],
) -> None:
    """Change an automatic task; it takes effect at once. An --envelope-sender of "" goes.

    Example: kadencia task set Pošta --cadence 600 --days mon-fri --hours 08:00-17:30
    """
    _refuse_both(always, given, ("days", "hours"), "--always")
    _refuse_both(everywhere, given, ("establishment",), "--all-establishments")
    values = task_values(given)
    values |= NO_PLAN if always else {}
    values |= {"establishments": []} if everywhere else {}
    values |= {"name": new_name} if new_name is not None else {}
    values |= {"envelope_sender": None} if values.get("envelope_sender") == "" else {}
    with context.transaction() as connection:
        owner = find_company(connection, company)
        task = register.find_task(connection, owner, name, lock=True)
        changed = register.set_task(connection, task, owner, values)
    say(f"changed: {', '.join(changed).replace('_', ' ') or 'nothing'}")


@app.command("list")
def listing(company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """List automatic tasks, of all companies unless one is named.

    Example: kadencia task list
    """
    window, longest = context.window(), context.longest_handover()
    with context.transaction() as connection:
        owner = None if company is None else find_company(connection, company).id
        rows = task_views.tasks(connection, owner, window, longest)
    show_rows(rows if as_json else [_local(row) for row in rows], COLUMNS, as_json)


@app.command("show")
def show(name: NameArgument, company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """Show all of an automatic task.

    Example: kadencia task show Pošta
    """
    window, longest = context.window(), context.longest_handover()
    with context.transaction() as connection:
        owner = find_company(connection, company)
        task = register.find_task(connection, owner, name)
        shown = task_views.shown_task(connection, task, window, longest)
        obstacles = _obstacles(connection, task, owner)
    if as_json:
        show_one({**shown, "obstacles": obstacles}, as_json)
        return
    shown["backlog"] = at_least(shown, "backlog")
    del shown["backlog_is_more"], shown["time_zone"]
    show_one(shown, as_json, zone_of(owner))
    _warn(obstacles)


@app.command("pause")
def pause(name: NameArgument, company: CompanyOption = None) -> None:
    """Let an automatic task send nothing more; what is released already goes back.

    Example: kadencia task pause Pošta
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        done = register.pause_task(
            connection, register.find_task(connection, owner, name, lock=True)
        )
    say(f"automatic task {name} {'is paused now' if done else 'was paused already'}")


@app.command("resume")
def resume(name: NameArgument, company: CompanyOption = None) -> None:
    """Let a paused automatic task run again.

    Example: kadencia task resume Pošta
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        task = register.find_task(connection, owner, name, lock=True)
        done = register.resume_task(connection, task, owner)
        obstacles = _obstacles(connection, task, owner)
    say(f"automatic task {name} {'is active now' if done else 'was active already'}")
    _warn(obstacles)


@app.command("run")
def run(name: NameArgument, company: CompanyOption = None) -> None:
    """Have an automatic task look for messages now; plan and cadence still hold.

    Example: kadencia task run Pošta
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        task = register.find_task(connection, owner, name, lock=True)
        register.run_now(connection, task)
        obstacles = _obstacles(connection, task, owner)
    say(f"automatic task {name} is called for")
    _warn(obstacles)


@app.command("journal")
def journal(
    name: NameArgument,
    most: Annotated[int, typer.Option(min=1, help="The most runs that are shown.")] = 20,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the last runs of an automatic task, newest first.

    Example: kadencia task journal Pošta --most 5
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        task = register.find_task(connection, owner, name)
        rows = task_views.journal(connection, task, most)
    columns = ["started_at", "ended_at", "sweeps", "released", "last_sweep_at", "why_not_more"]
    show_rows(rows, columns, as_json, zone_of(owner))


def _refuse_both(flag: bool, given: Mapping[str, Any], names: tuple[str, ...], word: str) -> None:
    used = [f"--{name}" for name in names if name in given]
    if flag and used:
        raise CommandError(f"{word} and {used[0]} exclude each other; give one")


def _local(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line with its times in its own company's zone."""
    at = row["next_run_at"]
    local = None if at is None else at.astimezone(ZoneInfo(row["time_zone"]))
    return {**row, "next_run_at": local, "backlog": at_least(row, "backlog")}


def _obstacles(connection: Connection, task: Row[Any], company: Row[Any]) -> list[str]:
    """What keeps an active task from sending at this moment."""
    found = []
    if installation(connection)["stopped_at"] is not None:
        found.append("sending is stopped for the whole installation (`kadencia start-all`)")
    if not servers.is_alive(connection, task.server_id, context.silent_after()):
        found.append("no worker of its OAC server is alive (`kadencia server list`)")
    zone, now = zone_of(company), db.now(connection)
    plan = make_plan(task.plan_days, task.plan_from, task.plan_until, company.time_zone)
    if plan is not None and open_until(plan, now) is None:
        start = next_start(plan, now).astimezone(zone)
        found.append(f"its plan begins at {start:%Y-%m-%d %H:%M %Z}; until then nothing goes")
    return found


def _warn(obstacles: list[str]) -> None:
    for obstacle in obstacles:
        warn(obstacle)
