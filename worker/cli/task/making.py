"""`kadencia task create` and `set`: automatic tasks that send e-mails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from worker.cli import context
from worker.cli.company import CompanyOption
from worker.cli.options import TASK, refuse_missing, takes
from worker.cli.output import CommandError, say
from worker.cli.task.obstacles import NameArgument, obstacles, remark
from worker.registers import tasks as register
from worker.registers.naming import find_company
from worker.registers.plans import NO_PLAN, plan_columns
from worker.registers.rates import per_hour

NEEDED = ("server", "user", "smtp", "sender_name", "sender_address", "cadence")
RENAMED = {"unknown": "unknown_policy", "ceiling": "cadence_ceiling"}
RATES = ("cadence", "reserve", "cadence_ceiling")

AlwaysOption = Annotated[bool, typer.Option("--always", help="Run without a plan.")]
EverywhereOption = Annotated[bool, typer.Option("--all-establishments", help="Not limited to any.")]
NoFallbackOption = Annotated[
    bool, typer.Option("--no-fallback", help="Its own SMTP account and no other.")
]
NoStandInsOption = Annotated[
    bool, typer.Option("--no-stand-ins", help="No other OAC server takes over.")
]
NewNameOption = Annotated[str | None, typer.Option("--name", help="As it shall be called.")]
PausedOption = Annotated[bool, typer.Option("--paused", help="Release nothing yet.")]


def task_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a task is to be, from the options that were used."""
    values = {RENAMED.get(name, name): value for name, value in given.items()}
    values |= plan_columns(values.pop("days", None), values.pop("hours", None))
    values |= {name: per_hour(str(values[name])) for name in RATES if name in values}
    if "establishment" in values:
        values["establishments"] = values.pop("establishment")
    if "stand_in" in values:
        values["stand_ins"] = values.pop("stand_in")
    if "fallback" in values:
        values["fallbacks"] = values.pop("fallback")
    if "unknown_policy" in values:
        values["unknown_policy"] = str(values["unknown_policy"])
    return values


@takes(TASK)
def create(
    name: NameArgument,
    company: CompanyOption = None,
    paused: PausedOption = False,
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
        hindered = obstacles(connection, task, owner)
    say(f"automatic task {name} of {owner.name} is made, {'paused' if paused else 'active'}")
    remark(hindered if not paused else [])


@takes(TASK)
def change(
    name: NameArgument,
    new_name: NewNameOption = None,
    always: AlwaysOption = False,
    everywhere: EverywhereOption = False,
    no_stand_ins: NoStandInsOption = False,
    no_fallback: NoFallbackOption = False,
    company: CompanyOption = None,
    *,
    given: dict[str, Any],
) -> None:
    """Change an automatic task; it takes effect at once. An --envelope-sender of "" goes.

    Example: kadencia task set Pošta --cadence 600 --days mon-fri --hours 08:00-17:30
    """
    values = task_values(given) | lifted(given, new_name, always, everywhere, no_stand_ins)
    values |= {"envelope_sender": None} if values.get("envelope_sender") == "" else {}
    _refuse_both(no_fallback, given, ("fallback",), "--no-fallback")
    values |= {"fallbacks": []} if no_fallback else {}
    with context.transaction() as connection:
        owner = find_company(connection, company)
        task = register.find_task(connection, owner, name, lock=True)
        changed = register.set_task(connection, task, owner, values)
    say(f"changed: {', '.join(changed).replace('_', ' ') or 'nothing'}")


def lifted(
    given: Mapping[str, Any],
    new_name: str | None,
    always: bool,
    everywhere: bool,
    no_stand_ins: bool,
) -> dict[str, Any]:
    """What a changed task is called, and which of its bounds end.

    Raises:
        CommandError: a bound is given and ended at once.
    """
    _refuse_both(always, given, ("days", "hours"), "--always")
    _refuse_both(everywhere, given, ("establishment",), "--all-establishments")
    values: dict[str, Any] = dict(NO_PLAN) if always else {}
    values |= {"establishments": []} if everywhere else {}
    _refuse_both(no_stand_ins, given, ("stand_in",), "--no-stand-ins")
    values |= {"stand_ins": []} if no_stand_ins else {}
    return values | ({"name": new_name} if new_name is not None else {})


def _refuse_both(flag: bool, given: Mapping[str, Any], names: tuple[str, ...], word: str) -> None:
    used = [f"--{name.replace('_', '-')}" for name in names if name in given]
    if flag and used:
        raise CommandError(f"{word} and {used[0]} exclude each other; give one")
