"""Accounts at EuroSMS: integration, limits, price, and where reports are pushed to."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from models.automation import Account, AutomaticTask
from models.sms import EurosmsAccount, EurosmsPoll, EurosmsPrice, SmsTask
from models.states import Channel
from worker.core.content import shown
from worker.eurosms import BASE_URL
from worker.eurosms_accounts import PUSH_PATH, eurosms_accounts
from worker.outbox import sms_hand_overs, sms_polls
from worker.registers import RegisterError, accounts, audit, waking
from worker.registers.eurosms_rules import checked
from worker.registers.naming import find_account, listed, refuse_taken
from worker.vault import Vault

KIND = "eurosms"
"""Of the subject in the audit log."""

OF_ACCOUNT = ("name", "most_connections", "hourly_limit", "enabled")
"""What stands in the table of all accounts."""

PLACE = {"base_url", "integration_id"}
"""Which queue of reports an account has."""

SECRET_OCTETS = 32
"""Chosen: 256 bits that nobody guesses."""

UNSHOWN = ("id", "company_id", "account_id", "key", "push_secret")


def add_account(
    connection: Connection, company: Row[Any], vault: Vault, values: Mapping[str, Any]
) -> int:
    """Make an account at EuroSMS.

    Args:
        connection: the caller's transaction.
        company: the row of the company it belongs to.
        vault: seals the key.
        values: `name`, `integration_id`, `key` in the clear, and further columns of
            `models.sms.EurosmsAccount`, `most_connections` and `hourly_limit`; what is absent
            takes its default.

    Returns:
        Its id.

    Raises:
        RegisterError: a value breaks a rule; it names the value.
        ContentError: a text holds a control character.
        VaultError: there is no key to seal the integration key with.
    """
    new = checked({"base_url": BASE_URL, **values})
    refuse_taken(connection, Account, new["name"], company.id)
    new["key"] = vault.seal(new["key"])
    general, own = _parts(new)
    row = {"company_id": company.id, "channel": Channel.SMS.value, **general}
    made: int = connection.execute(insert(Account).values(row).returning(Account.id)).scalar_one()
    connection.execute(insert(EurosmsAccount).values(account_id=made, **own))
    audit.record(connection, "create", f"{KIND}:{made}", after={**row, **own})
    sms_polls.ensure(connection, own["base_url"], own["integration_id"])
    return made


def set_account(
    connection: Connection, account: Row[Any], vault: Vault, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Change an account at EuroSMS; returns what differs, the key sealed.

    Whatever is changed is used with the next request, and closes the account's breaker.

    Args:
        connection: the caller's transaction.
        account: as `find_eurosms` returns it, locked.
        vault: seals a new key.
        values: as `add_account` takes them, only those to be changed.

    Raises:
        RegisterError, ContentError, VaultError: as `add_account`.
    """
    new = checked(values)
    if new.get("name", account.name) != account.name:
        refuse_taken(connection, Account, new["name"], account.company_id)
    if "price" in new and new["price"] is None:
        _refuse_without_estimate(connection, account)
    if any(new.get(name, account._mapping[name]) != account._mapping[name] for name in PLACE):
        _refuse_while_awaited(connection, account)
    if "key" in new:
        new["key"] = vault.seal(new["key"])
    general, own = _parts(new)
    changed: dict[str, Any] = {}
    if general:
        changed |= audit.change(connection, Account, KIND, account.id, general)
    if own:
        changed |= audit.change(connection, EurosmsAccount, KIND, account.id, own)
    if changed.keys() & PLACE:
        _move(connection, account, changed)
    if changed:
        accounts.close_breaker(connection, account.id)
        waking.wake(connection, account_id=account.id)
    return changed


def find_eurosms(
    connection: Connection, company: Row[Any], name: str, *, lock: bool = False
) -> Row[Any]:
    """An account at EuroSMS with all that is known of it.

    Raises:
        RegisterError: there is none of that name, or it is an SMTP account.
    """
    found = find_account(connection, name, company.id, Channel.SMS, lock=lock)
    return connection.execute(eurosms_accounts().where(Account.id == found.id)).one()


def list_accounts(connection: Connection, company_id: int) -> list[dict[str, Any]]:
    """A company's accounts at EuroSMS by name, without their keys."""
    query = eurosms_accounts().where(Account.company_id == company_id).order_by(Account.name)
    return [_shown(row) for row in connection.execute(query)]


def shown_account(connection: Connection, account: Row[Any]) -> dict[str, Any]:
    """All of an account but its key: settings, poll, observed prices, and who uses it."""
    poll = connection.execute(
        select(EurosmsPoll.polled_at, EurosmsPoll.failures, EurosmsPoll.why).where(
            EurosmsPoll.base_url == account.base_url,
            EurosmsPoll.integration_id == account.integration_id,
        )
    ).one_or_none()
    return {
        **_shown(account),
        "reports_polled_at": None if poll is None else poll.polled_at,
        "poll_failures": 0 if poll is None else poll.failures,
        "poll_failed_because": None if poll is None else poll.why,
        "observed_prices": [f"{p.calling_code} {p.operator or '–'}: {p.price} EUR"
                            for p in _prices(connection, account.id)],
        "tasks": accounts.tasks_of(connection, account.id),
    }  # fmt: skip


def set_enabled(connection: Connection, company: Row[Any], name: str, enabled: bool) -> bool:
    """Enable an account, or let nothing go through it; whether it was the other.

    Raises:
        RegisterError: there is none of that name.
    """
    account = find_account(connection, name, company.id, Channel.SMS, lock=True)
    return accounts.set_enabled(connection, account, KIND, enabled)


def note_balance(connection: Connection, account_id: int, balance: Decimal) -> None:
    """Keep what the gateway said an account's balance is."""
    connection.execute(
        update(EurosmsAccount)
        .where(EurosmsAccount.account_id == account_id)
        .values(balance=balance, balance_at=func.clock_timestamp())
    )


def push_path(connection: Connection, account: Row[Any]) -> str:
    """Make the path to which an account's reports are pushed; the one before ends.

    Only a digest of its secret part is kept: nobody can read it again.
    """
    secret = secrets.token_urlsafe(SECRET_OCTETS)
    digest = hashlib.sha256(secret.encode()).digest()
    audit.change(connection, EurosmsAccount, KIND, account.id, {"push_secret": digest})
    return f"{PUSH_PATH}{secret}"


def end_push(connection: Connection, account: Row[Any]) -> bool:
    """Take no more pushed reports; whether there was a path for them."""
    return bool(audit.change(connection, EurosmsAccount, KIND, account.id, {"push_secret": None}))


def has_price(connection: Connection, account_id: int) -> bool:
    """Whether what an SMS will cost can be told: a price is set, or reports have shown one."""
    query = select(EurosmsAccount.price).where(EurosmsAccount.account_id == account_id)
    if connection.execute(query).scalar() is not None:
        return True
    return bool(_prices(connection, account_id))


def _prices(connection: Connection, account_id: int) -> list[Row[Any]]:
    query = select(EurosmsPrice.__table__).where(EurosmsPrice.account_id == account_id)
    ordered = query.order_by(EurosmsPrice.calling_code, EurosmsPrice.operator)
    return list(connection.execute(ordered))


def _refuse_without_estimate(connection: Connection, account: Row[Any]) -> None:
    """A budget is kept by estimates: the price of an account with budgets must not go."""
    if _prices(connection, account.id):
        return
    query = (
        select(AutomaticTask.name)
        .join(SmsTask, SmsTask.task_id == AutomaticTask.id)
        .where(
            AutomaticTask.account_id == account.id,
            func.num_nonnulls(SmsTask.budget_day, SmsTask.budget_month) > 0,
        )
        .order_by(AutomaticTask.name)
    )
    tasks = list(connection.execute(query).scalars())
    if tasks:
        raise RegisterError(
            f"with neither a price nor observed ones, the budget of {listed(tasks)} cannot be kept",
            f"lift the budget first, or give {shown(account.name)} another price",
        )


def _refuse_while_awaited(connection: Connection, account: Row[Any]) -> None:
    """Nobody could ask for the reports on what it sent any more."""
    awaited = sms_hand_overs.awaited(connection, account.id)
    if awaited:
        raise RegisterError(
            f"delivery reports on {awaited} SMS of {shown(account.name)} are still to come, and "
            f"its integration would no longer be asked for them",
            "add another account, and move the automatic tasks to it; keep this one enabled",
        )


def _move(connection: Connection, account: Row[Any], changed: Mapping[str, Any]) -> None:
    """Another integration has reports and a balance of its own."""
    place = {"base_url": account.base_url, "integration_id": account.integration_id, **changed}
    sms_polls.ensure(connection, place["base_url"], place["integration_id"])
    connection.execute(
        update(EurosmsAccount)
        .where(EurosmsAccount.account_id == account.id)
        .values(balance=None, balance_at=None)
    )


def _parts(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stands in `account`, and what in `eurosms_account`."""
    general = {name: value for name, value in values.items() if name in OF_ACCOUNT}
    return general, {name: value for name, value in values.items() if name not in OF_ACCOUNT}


def _shown(account: Row[Any]) -> dict[str, Any]:
    known = {n: v for n, v in account._mapping.items() if n not in UNSHOWN}
    return known | {"pushed": account.push_secret is not None}
