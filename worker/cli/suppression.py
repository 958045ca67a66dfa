"""`kadencia suppression`: addresses and numbers that must not be written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from worker.cli import context
from worker.cli.company import CompanyOption, zone_of
from worker.cli.output import CommandError, JsonOption, say, show_rows, warn
from worker.registers import suppressions as register
from worker.registers.naming import find_company

app = typer.Typer(no_args_is_help=True, help="Addresses and numbers that must not be written to.")


@app.command("add")
def add(
    address: Annotated[str | None, typer.Argument(help="One address or number.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A file with one address or number a line.")
    ] = None,
    why: Annotated[
        str, typer.Option(help="Shown with each message that is not sent because of it.")
    ] = "by the operator",
    company: CompanyOption = None,
) -> None:
    """Bar an address or a number, or all those in a file; in a file, all lines are taken or none.

    Example: kadencia suppression add anna@firma.example --why "odhlásila sa"
    """
    if (address is None) == (file is None):
        raise CommandError("give either one address or number, or --file FILE")
    with _lines(address, file) as lines, context.transaction() as connection:
        owner = find_company(connection, company)
        addresses = register.read_addresses(lines, str(file or "the command line"), owner.country)
        added, known = register.suppress(connection, owner, addresses, why)
    say(f"suppressed: {added} added, {known} were suppressed already")


@app.command("list")
def listing(
    containing: Annotated[str, typer.Option(help="Only addresses that contain this.")] = "",
    most: Annotated[int, typer.Option(min=1, help="The most that are shown.")] = 1000,
    company: CompanyOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the addresses and numbers that a company must not write to.

    Example: kadencia suppression list --containing @firma.example
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        rows = register.suppressions(connection, owner.id, most + 1, containing)
    show_rows(rows[:most], ["address", "why", "created_at"], as_json, zone_of(owner))
    if len(rows) > most:
        warn(f"there are more than {most}; narrow it with --containing, or raise --most")


@app.command("remove")
def remove(
    address: Annotated[str, typer.Argument(help="One address or number.")],
    company: CompanyOption = None,
) -> None:
    """Let an address or a number be written to again.

    Example: kadencia suppression remove anna@firma.example
    """
    with context.transaction() as connection:
        register.unsuppress(connection, find_company(connection, company), address)
    say(f"{address} may be written to again")


@contextmanager
def _lines(address: str | None, file: Path | None) -> Iterator[list[str] | TextIO]:
    if file is None:
        yield [address or ""]
        return
    try:
        with file.open(encoding="utf-8-sig") as opened:
            yield opened
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{file} is not in UTF-8 (octet {error.start}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}; name another") from None
