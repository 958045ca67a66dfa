"""`kadencia establishment`: branches and shops of a company."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli import context
from worker.cli.company import CompanyOption
from worker.cli.output import JsonOption, say, show_rows
from worker.registers import companies as register
from worker.registers.naming import find_company

app = typer.Typer(no_args_is_help=True, help="Establishments: branches and shops.")


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Unique in its company.")],
    company: CompanyOption = None,
) -> None:
    """Make an establishment.

    Example: kadencia establishment add Košice
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        register.add_establishment(connection, owner, name)
    say(f"establishment {name} of {owner.name} is made")


@app.command("list")
def listing(company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """List a company's establishments.

    Example: kadencia establishment list --company "Kvetinárstvo Ruža"
    """
    with context.transaction() as connection:
        rows = register.establishments(connection, find_company(connection, company).id)
    show_rows(rows, ["name"], as_json)
