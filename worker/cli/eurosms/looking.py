"""`kadencia eurosms list` and `show`."""

from __future__ import annotations

from worker.cli import context
from worker.cli.company import CompanyOption, zone_of
from worker.cli.eurosms.making import NameArgument
from worker.cli.output import JsonOption, show_one, show_rows
from worker.registers import eurosms as register
from worker.registers.naming import find_company

COLUMNS = [
    "name",
    "integration_id",
    "base_url",
    "enabled",
    "most_connections",
    "hourly_limit",
    "price",
    "balance",
    "balance_at",
]


def listing(company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """List a company's accounts at EuroSMS, with the balances that were last seen.

    Example: kadencia eurosms list
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        rows = register.list_accounts(connection, owner.id)
    show_rows(rows, COLUMNS, as_json, zone_of(owner))


def show(name: NameArgument, company: CompanyOption = None, as_json: JsonOption = False) -> None:
    """Show an account at EuroSMS, and what segments have cost; its key is never shown.

    Example: kadencia eurosms show brána
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        account = register.find_eurosms(connection, owner, name)
        shown = register.shown_account(connection, account)
    show_one(shown, as_json, zone_of(owner))
