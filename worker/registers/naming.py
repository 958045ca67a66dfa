"""Things are named by their names; whoever names what is not there learns what is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from models.automation import Account, AutomaticTask
from models.base import Base
from models.fleet import Server
from models.organisation import Company, Establishment, User
from models.states import Channel
from worker.core.content import refuse_unsafe, shown
from worker.registers import RegisterError

NAME_CHARACTERS_MAX = 200  # chosen: fits a line of any listing
NAMED_MOST = 20  # chosen: known names that an error lists

WORDS: dict[type[Base], tuple[str, str]] = {
    Company: ("company", "kadencia company add"),
    Establishment: ("establishment", "kadencia establishment add"),
    User: ("user", "kadencia user add"),
    Server: ("OAC server", "kadencia server add"),
    AutomaticTask: ("automatic task", "kadencia task create"),
}
"""What each is called, and the command that makes one; of accounts, see `ACCOUNTS`."""

ACCOUNTS: dict[str, tuple[str, str]] = {
    Channel.EMAIL: ("SMTP account", "kadencia smtp"),
    Channel.SMS: ("account at EuroSMS", "kadencia eurosms"),
}
"""What the accounts of a channel are called, and the commands that deal with them."""


def check_name(name: str, what: str) -> str:
    """A name without blanks around it.

    Raises:
        RegisterError: it is blank or too long.
        ContentError: it holds a control character.
    """
    name = name.strip()
    refuse_unsafe(name, f"name of the {what}")
    if not name:
        raise RegisterError(f"the name of the {what} is blank", "give one")
    if len(name) > NAME_CHARACTERS_MAX:
        raise RegisterError(
            f"the name of the {what} has more than {NAME_CHARACTERS_MAX} characters", "shorten it"
        )
    return name


def find(
    connection: Connection,
    table: type[Base],
    name: str,
    company_id: int | None = None,
    *,
    lock: bool = False,
) -> Row[Any]:
    """The row of that name.

    Args:
        connection: the caller's transaction.
        table: one of `WORDS`; for an account, see `find_account`.
        name: as it was given when it was made.
        company_id: for what is named within a company.
        lock: until the transaction ends, nobody else changes the row.

    Raises:
        RegisterError: there is none; it lists those that there are.
    """
    query = _of(table, company_id).where(table.__table__.c.name == name.strip())
    found = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if found is None:
        raise unknown(connection, table, name, company_id)
    return found


def find_account(
    connection: Connection, name: str, company_id: int, channel: Channel, *, lock: bool = False
) -> Row[Any]:
    """The row of a company's account of one channel.

    Args:
        connection: the caller's transaction.
        name: as it was given when it was made.
        company_id: its company.
        channel: an account of the other one is refused, and said to be one.
        lock: until the transaction ends, nobody else changes the row.

    Raises:
        RegisterError: there is none; it lists those that there are.
    """
    what, command = ACCOUNTS[channel]
    query = _of(Account, company_id)
    named = query.where(Account.name == name.strip())
    found = connection.execute(named.with_for_update() if lock else named).one_or_none()
    if found is not None and found.channel == channel:
        return found
    known = query.where(Account.channel == channel).order_by(Account.name)
    there = listed([row.name for row in connection.execute(known)])
    mend = f"{f'known: {there}' if there else 'there is none yet'}; `{command} add` makes one"
    if found is None:
        raise RegisterError(f"there is no {what} {shown(name)}", mend)
    other, others = ACCOUNTS[found.channel]
    raise RegisterError(
        f"{shown(found.name)} is an {other}, not an {what}",
        f"`{others}` deals with it; of what is wanted here, {mend}",
    )


def find_company(connection: Connection, name: str | None) -> Row[Any]:
    """The company of that name; without a name, the only one.

    Raises:
        RegisterError: there is none, or there are several and none was named.
    """
    if name is not None:
        return find(connection, Company, name)
    found = connection.execute(select(Company.__table__).order_by(Company.id).limit(2)).all()
    if not found:
        raise RegisterError("there is no company yet", "make one with `kadencia company add`")
    if len(found) > 1:
        raise RegisterError(
            "there is more than one company", f"add --company NAME: {_known(connection, Company)}"
        )
    return found[0]


def refuse_taken(
    connection: Connection, table: type[Base], name: str, company_id: int | None = None
) -> None:
    """Refuse a name that is in use.

    Raises:
        RegisterError: it is.
    """
    query = _of(table, company_id).where(table.__table__.c.name == name)
    found = connection.execute(query).one_or_none()
    if found is not None:
        what, _ = ACCOUNTS[found.channel] if table is Account else WORDS[table]
        raise RegisterError(f"the {what} {shown(name)} exists already", "choose another name")


def unknown(
    connection: Connection, table: type[Base], name: str, company_id: int | None = None
) -> RegisterError:
    """The error for a name that is not there."""
    what, command = WORDS[table]
    known = _known(connection, table, company_id)
    mend = f"known: {known}" if known else "there is none yet"
    return RegisterError(f"there is no {what} {shown(name)}", f"{mend}; `{command}` makes one")


def listed(names: Sequence[str]) -> str:
    """Names as a sentence holds them, not too many of them.

    >>> listed(["main", "local"])
    'main, local'
    """
    more = len(names) - NAMED_MOST
    return ", ".join(names[:NAMED_MOST]) + (f" and {more} more" if more > 0 else "")


def _known(connection: Connection, table: type[Base], company_id: int | None = None) -> str:
    query = _of(table, company_id).order_by(table.__table__.c.name)
    return listed([row.name for row in connection.execute(query)])


def _of(table: type[Base], company_id: int | None) -> Select[Any]:
    query = select(table.__table__)
    if company_id is not None:
        query = query.where(table.__table__.c.company_id == company_id)
    return query
