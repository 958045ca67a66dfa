"""`kadencia company`: who owns everything else."""

from __future__ import annotations

from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Row

from worker.cli import context
from worker.cli.output import JsonOption, say, show_one, show_rows
from worker.registers import companies as register
from worker.registers.naming import find_company

app = typer.Typer(no_args_is_help=True, help="Companies.")

CompanyOption = Annotated[
    str | None, typer.Option("--company", help="Its company; may be left out if there is one only.")
]


def zone_of(company: Row[Any]) -> ZoneInfo:
    """The time zone in which people of a company read times."""
    return ZoneInfo(company.time_zone)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Unique in this installation.")],
    domain: Annotated[str, typer.Option(help="Right-hand side of its Message-IDs.")],
    time_zone: Annotated[
        str, typer.Option(help="In which its people read times and plan.")
    ] = register.DEFAULT_ZONE,
    country: Annotated[
        str, typer.Option(help="Of phone numbers without a calling code: two letters.")
    ] = register.DEFAULT_COUNTRY,
) -> None:
    """Make a company.

    Example: kadencia company add "Kvetinárstvo Ruža" --domain ruza.example
    """
    with context.transaction() as connection:
        register.add_company(connection, name, domain, time_zone, country)
    say(f"company {name} is made")


@app.command("set")
def change(
    name: Annotated[str, typer.Argument(help="As it is called now.")],
    new_name: Annotated[str | None, typer.Option("--name", help="As it shall be called.")] = None,
    domain: Annotated[str | None, typer.Option(help="Right-hand side of its Message-IDs.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Of its people and plans.")] = None,
    country: Annotated[
        str | None, typer.Option(help="Of phone numbers without a calling code: two letters.")
    ] = None,
) -> None:
    """Change a company.

    Example: kadencia company set "Kvetinárstvo Ruža" --time-zone Europe/Prague
    """
    given = {"name": new_name, "domain": domain, "time_zone": time_zone, "country": country}
    values = {column: value for column, value in given.items() if value is not None}
    with context.transaction() as connection:
        company = find_company(connection, name)
        changed = register.set_company(connection, company, **values)
    say(f"changed: {', '.join(changed) or 'nothing'}")


@app.command("list")
def listing(as_json: JsonOption = False) -> None:
    """List all companies.

    Example: kadencia company list --json
    """
    with context.transaction() as connection:
        rows = register.companies(connection)
    show_rows(rows, ["name", "domain", "time_zone", "country"], as_json)


@app.command("show")
def show(
    name: Annotated[str | None, typer.Argument(help="Which; the only one by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a company and its establishments.

    Example: kadencia company show
    """
    with context.transaction() as connection:
        company = find_company(connection, name)
        places = register.establishments(connection, company.id)
    shown = {**company._mapping, "establishments": [place["name"] for place in places]}
    show_one(shown, as_json, zone_of(company))
