"""`kadencia eurosms add`, `set`, `disable` and `enable`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from sqlalchemy import Connection, Row, select

from models.automation import AutomaticTask
from worker.cli import context
from worker.cli.company import CompanyOption
from worker.cli.options import Table, option, read_password, refuse_missing, takes
from worker.cli.output import say, warn
from worker.registers import eurosms as register
from worker.registers.amounts import euros
from worker.registers.naming import find_company
from worker.registers.rates import per_hour

EUROSMS: Table = {
    "integration_id": option(str, "As EuroSMS's portal shows it, such as 1-Ab12cD.", metavar="ID"),
    "key_file": option(
        str, "File whose first line is the integration key; - for standard input.", metavar="FILE"
    ),
    "base_url": option(str, "Scheme and host of the gateway; default: that of EuroSMS."),
    "digest": option(str, "Of signatures: sha1 (default) or sha256.", metavar="NAME"),
    "time_zone": option(str, "Of the gateway's times; default Europe/Bratislava."),
    "verify": option(bool, "Check the gateway's certificate.", "--verify/--no-verify"),
    "ca_file": option(str, "PEM file of the authorities to trust, on each worker's host."),
    "connect_timeout": option(float, "Seconds to connect; default 10.", metavar="SECONDS"),
    "answer_timeout": option(float, "Seconds for each answer; default 30.", metavar="SECONDS"),
    "poll_seconds": option(
        float, "How often delivery reports are asked for; default 20.", metavar="SECONDS"
    ),
    "most_connections": option(int, "Most requests at once; default 4.", metavar="N"),
    "hourly_limit": option(str, "Most segments an hour over this account.", metavar="RATE"),
    "price": option(str, "Of a segment, until reports show what it costs.", metavar="EUR"),
    "push_from": option(
        list[str], "Take pushed reports from this network only; may be given several times."
    ),
}

NameArgument = Annotated[str, typer.Argument(help="Unique in its company.")]


def account_values(given: Mapping[str, Any], *, ask: bool) -> dict[str, Any]:
    """The columns of an account, from the options that were used; may ask for the key."""
    values = dict(given)
    source = values.pop("key_file", None)
    if source is not None or ask:
        values["key"] = read_password(source, word="key")
    if "hourly_limit" in values:
        values["hourly_limit"] = per_hour(str(values["hourly_limit"])) or None
    if "price" in values:
        values["price"] = euros(values["price"]) if values["price"] else None
    if values.get("ca_file") == "":
        values["ca_file"] = None
    if "push_from" in values:
        values["push_from"] = [network for network in values["push_from"] if network]
    return values


@takes(EUROSMS)
def add(name: NameArgument, company: CompanyOption = None, *, given: dict[str, Any]) -> None:
    """Make an account at EuroSMS. The integration key is asked for, or read from a file.

    Example: kadencia eurosms add brána --integration-id 1-Ab12cD --price 0.05
    """
    refuse_missing(given, ("integration_id",))
    values = {"name": name, **account_values(given, ask=True)}
    with context.transaction() as connection:
        owner = find_company(connection, company)
        register.add_account(connection, owner, context.vault(), values)
    _warn_of(values)
    say(
        f"account {name} at EuroSMS of {owner.name} is made; "
        f"try it with `kadencia eurosms test {name}`"
    )


@takes(EUROSMS)
def change(
    name: NameArgument,
    new_name: Annotated[str | None, typer.Option("--name", help="As it shall be called.")] = None,
    company: CompanyOption = None,
    *,
    given: dict[str, Any],
) -> None:
    """Change an account at EuroSMS. A limit of 0 goes; a --price, --ca-file, --push-from of "" too.

    Example: kadencia eurosms set brána --key-file - --hourly-limit 2000
    """
    values = account_values(given, ask=False)
    values |= {"name": new_name} if new_name is not None else {}
    with context.transaction() as connection:
        owner = find_company(connection, company)
        account = register.find_eurosms(connection, owner, name, lock=True)
        changed = register.set_account(connection, account, context.vault(), values)
        paused = _paused(connection, account) if changed else []
    _warn_of(values)
    say(f"changed: {', '.join(changed).replace('_', ' ') or 'nothing'}")
    for task in paused:
        warn(f"automatic task {task} is still paused; `kadencia task resume {task!r}` ends that")


def disable(name: NameArgument, company: CompanyOption = None) -> None:
    """Let nothing go through an account at EuroSMS until it is enabled.

    Example: kadencia eurosms disable brána
    """
    with context.transaction() as connection:
        done = register.set_enabled(connection, find_company(connection, company), name, False)
    say(f"account {name} at EuroSMS {'is disabled now' if done else 'was disabled already'}")


def enable(name: NameArgument, company: CompanyOption = None) -> None:
    """Use a disabled account at EuroSMS again; also closes its breaker.

    Example: kadencia eurosms enable brána
    """
    with context.transaction() as connection:
        done = register.set_enabled(connection, find_company(connection, company), name, True)
    how = "is enabled now" if done else "was enabled"
    say(f"account {name} at EuroSMS {how}; its breaker is closed")


def _paused(connection: Connection, account: Row[Any]) -> list[str]:
    """Automatic tasks that the product paused for what the account was set to."""
    query = select(AutomaticTask.name).where(
        AutomaticTask.account_id == account.id, AutomaticTask.paused_why.is_not(None)
    )
    return list(connection.execute(query.order_by(AutomaticTask.name)).scalars())


def _warn_of(values: Mapping[str, Any]) -> None:
    if values.get("verify") is False:
        warn("the gateway's certificate is not checked; anybody on the way could pose as it")
    if str(values.get("base_url", "")).startswith("http://"):
        warn("the gateway is on this host: an emulator, and no SMS is sent for real")
