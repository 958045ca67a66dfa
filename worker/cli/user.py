"""`kadencia user`: people, and the system users under whom automatic tasks run."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli import context
from worker.cli.company import CompanyOption, zone_of
from worker.cli.output import CommandError, JsonOption, say, show_rows
from worker.registers import users as register
from worker.registers.naming import find_company

app = typer.Typer(
    no_args_is_help=True, help="Users: standard ones, and system ones that run tasks."
)

NameArgument = Annotated[str, typer.Argument(help="Unique in its company.")]


@app.command("add")
def add(
    name: NameArgument,
    system: Annotated[
        bool, typer.Option("--system", help="Runs automatic tasks and can never log in.")
    ] = False,
    standard: Annotated[bool, typer.Option("--standard", help="A person; the default.")] = False,
    administrator: Annotated[
        bool, typer.Option("--administrator", help="A person who may raise a cadence's ceiling.")
    ] = False,
    company: CompanyOption = None,
) -> None:
    """Make a user.

    Example: kadencia user add "Odosielanie pošty" --system
    """
    if system and standard:
        raise CommandError("--system and --standard exclude each other; give one")
    kind = "system" if system else "standard"
    with context.transaction() as connection:
        owner = find_company(connection, company)
        register.add_user(connection, owner, name, kind, administrator=administrator)
    say(f"{kind} user {name} of {owner.name} is made")


@app.command("list")
def listing(company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """List a company's users.

    Example: kadencia user list
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        rows = register.users(connection, owner.id)
    columns = ["name", "kind", "administrator", "disabled", "created_at"]
    show_rows(rows, columns, as_json, zone_of(owner))


@app.command("disable")
def disable(name: NameArgument, company: CompanyOption = None) -> None:
    """Disable a user; refused while an active automatic task runs under it.

    Example: kadencia user disable "Odosielanie pošty"
    """
    with context.transaction() as connection:
        done = register.disable_user(connection, find_company(connection, company), name)
    say(f"user {name} {'is disabled now' if done else 'was disabled already'}")


@app.command("enable")
def enable(name: NameArgument, company: CompanyOption = None) -> None:
    """Enable a disabled user.

    Example: kadencia user enable "Odosielanie pošty"
    """
    with context.transaction() as connection:
        done = register.enable_user(connection, find_company(connection, company), name)
    say(f"user {name} {'is enabled now' if done else 'was enabled already'}")
