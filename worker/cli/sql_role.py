"""`kadencia sql-role`: roles of PostgreSQL through which services enqueue."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli import context
from worker.cli.company import CompanyOption
from worker.cli.output import JsonOption, say, show_rows, warn
from worker.registers import sql_roles as register
from worker.registers.naming import find_company

app = typer.Typer(
    no_args_is_help=True, help="Roles of PostgreSQL through which services enqueue by SQL."
)

Name = Annotated[str, typer.Argument(help="Of the role that the service logs in with.")]


@app.command("create")
def create(
    name: Name,
    company: CompanyOption = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Give it a new password.")] = False,
) -> None:
    """Let a role enqueue for a company; it is made if need be, and its password printed once.

    A role that is there keeps its password, and what else it may do.

    Example: kadencia sql-role create eshop --company "Kvetinárstvo Ruža"
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        password = register.allow(connection, owner, name, rotate=rotate)
    warn(f"role {name} may enqueue for {owner.name}")
    if password is not None:
        warn("its password is shown this once, so keep it now")
        say(password)


@app.command("list")
def listing(as_json: JsonOption = False) -> None:
    """List the roles, with the companies that they may enqueue for.

    Example: kadencia sql-role list
    """
    with context.transaction() as connection:
        rows = register.sql_roles(connection)
    show_rows(rows, ["role", "company", "created_at"], as_json)


@app.command("remove")
def remove(
    name: Name,
    company: Annotated[
        str | None, typer.Option("--company", help="For this one only; by default for all.")
    ] = None,
) -> None:
    """No longer let a role enqueue; the role itself stays, for its owner to drop.

    Example: kadencia sql-role remove eshop
    """
    with context.transaction() as connection:
        left = register.disallow(connection, name, company)
    say(f"role {name} may enqueue for {left or 'no'} {'company' if left == 1 else 'companies'} now")
