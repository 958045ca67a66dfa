"""`kadencia token`: what other services show to the HTTP API."""

from __future__ import annotations

from typing import Annotated

import typer

from models.tokens import Scope
from worker.cli import context
from worker.cli.company import CompanyOption, zone_of
from worker.cli.drafting import read_time
from worker.cli.output import JsonOption, say, show_rows, warn
from worker.registers import tokens as register
from worker.registers.naming import find_company

app = typer.Typer(no_args_is_help=True, help="Tokens of the HTTP API, each of one company.")

NameArgument = Annotated[str, typer.Argument(help="Of the service that uses it.")]


@app.command("create")
def create(
    name: NameArgument,
    scope: Annotated[
        list[str],
        typer.Option(help=f"What it allows; may be given several times: {', '.join(Scope)}."),
    ],
    expires: Annotated[
        str | None,
        typer.Option(help="Not valid after, as 2027-03-01T08:00; the company's time."),
    ] = None,
    company: CompanyOption = None,
) -> None:
    """Make a token and print it: once, on standard output. Only its digest is kept.

    Example: kadencia token create eshop --scope emails:write --scope emails:read
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        until = read_time(expires, zone_of(owner), "--expires")
        made = register.add_token(connection, owner, name, register.scopes_of(scope), until)
    warn(f"token {made.id} of {owner.name}; it is shown this once, so keep it now")
    say(made.written)


@app.command("list")
def listing(company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """List a company's tokens: what they allow, when they were last used, whether they are valid.

    Example: kadencia token list
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        rows = register.tokens(connection, owner.id)
    columns = ["id", "name", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at"]
    show_rows(rows, columns, as_json, zone_of(owner))


@app.command("revoke")
def revoke(name: NameArgument, company: CompanyOption = None) -> None:
    """End a token at once, for good.

    Example: kadencia token revoke eshop
    """
    with context.transaction() as connection:
        ended = register.revoke_token(connection, find_company(connection, company), name)
    say(f"token {ended} ({name.strip()}) is revoked")
