"""`kadencia eurosms push-path`: where EuroSMS pushes its reports to."""

from __future__ import annotations

from typing import Annotated

import typer

from worker.cli import context
from worker.cli.company import CompanyOption
from worker.cli.eurosms.making import NameArgument
from worker.cli.output import say
from worker.registers import eurosms as register
from worker.registers.naming import find_company


def push_path(
    name: NameArgument,
    remove: Annotated[
        bool, typer.Option("--remove", help="Make none, and take no more pushed reports.")
    ] = False,
    company: CompanyOption = None,
) -> None:
    """Make a secret path to which EuroSMS may push reports; it is shown once, the last one ends.

    Example: kadencia eurosms push-path brána
    """
    with context.transaction() as connection:
        owner = find_company(connection, company)
        account = register.find_eurosms(connection, owner, name, lock=True)
        if remove:
            done = register.end_push(connection, account)
            say("no pushed reports are taken any more" if done else "none were taken before")
            return
        path = register.push_path(connection, account)
    say(path)
