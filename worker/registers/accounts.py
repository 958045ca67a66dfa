"""SMTP accounts: where they are, how they are used, and their sealed credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from models.automation import Account, AutomaticTask
from models.sms import EurosmsAccount
from models.smtp import SmtpOauth, TaskAccount
from models.states import Channel
from models.webhooks import Webhook
from worker.core.content import refuse_unsafe, shown
from worker.registers import RegisterError, audit, smtp_parts, waking
from worker.registers.naming import check_name, find_account, refuse_taken
from worker.vault import Vault

PORTS = {"starttls": 587, "tls": 465, "none": 25}
"""The port that goes with a security where none is given (RFC 6409, RFC 8314)."""

RANGES: dict[str, tuple[float, float, str]] = {
    "port": (1, 65_535, ""),
    "connect_timeout": (0.1, 600, "seconds"),
    "command_timeout": (0.1, 600, "seconds"),
    "connection_messages": (1, 1_000_000, "messages"),
    "most_connections": (1, 1_000, "connections"),
    "hourly_limit": (1, 1_000_000, "recipients"),
    "domain_hourly_limit": (1, 1_000_000, "recipients"),
}
"""Least and most of each number."""

UNLISTED = ("id", "company_id", "channel", "password")
LISTED = [c for c in Account.__table__.c if c.name not in UNLISTED]


def add_account(
    connection: Connection, company: Row[Any], vault: Vault, values: Mapping[str, Any]
) -> int:
    """Make an SMTP account.

    Args:
        connection: the caller's transaction.
        company: the row of the company it belongs to.
        vault: seals the password.
        values: columns of `models.automation.Account`, the password in the clear; `port`
            may be absent, what else is absent takes the table's default.

    Returns:
        Its id.

    Raises:
        RegisterError: a value breaks a rule; it names the value.
        ContentError: a text holds a control character.
        VaultError: there is no key to seal the password with.
    """
    given = {"port": PORTS.get(values["security"], 0), **values}
    new = _checked(given, None)
    _check_log_in(new.get("username"), new.get("password"))
    refuse_taken(connection, Account, new["name"], company.id)
    row = {"company_id": company.id, **new, "password": _sealed(vault, new.get("password"))}
    return audit.add(connection, Account, "smtp", row)


def set_account(
    connection: Connection, account: Row[Any], vault: Vault, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Change an SMTP account; returns what differs, the password sealed.

    Whatever is changed is used with the next connection, and closes the account's breaker.

    Raises:
        RegisterError, ContentError, VaultError: as `add_account`.
    """
    new = _checked(values, account)
    if new.get("name", account.name) != account.name:
        refuse_taken(connection, Account, new["name"], account.company_id)
    password = new.get("password", account.password)
    _check_log_in(new.get("username", account.username), password)
    if new.get("password") is not None:
        new["password"] = _sealed(vault, new["password"])
    changed = audit.change(connection, Account, "smtp", account.id, new) if new else {}
    if changed:
        changed_account(connection, account.id)
    return changed


def changed_account(connection: Connection, account_id: int) -> None:
    """What was changed is used at once: its breaker is closed, and its tasks are swept."""
    close_breaker(connection, account_id)
    waking.wake(connection, account_id)


def disable_account(connection: Connection, company: Row[Any], name: str) -> bool:
    """Let nothing go through an account until it is enabled; whether it was enabled.

    Raises:
        RegisterError: there is none of that name.
    """
    account = find_account(connection, name, company.id, Channel.EMAIL, lock=True)
    return set_enabled(connection, account, "smtp", False)


def enable_account(connection: Connection, company: Row[Any], name: str) -> bool:
    """Use an account again, at once; whether it was disabled.

    Raises:
        RegisterError: there is none of that name.
    """
    account = find_account(connection, name, company.id, Channel.EMAIL, lock=True)
    return set_enabled(connection, account, "smtp", True)


def accounts(connection: Connection, company_id: int) -> list[dict[str, Any]]:
    """A company's SMTP accounts by name, without their passwords."""
    found = connection.execute(
        select(*LISTED, SmtpOauth.username.label("mailbox"))
        .join(SmtpOauth, SmtpOauth.account_id == Account.id, isouter=True)
        .where(Account.company_id == company_id, Account.channel == Channel.EMAIL)
        .order_by(Account.name)
    )
    return [_listed(dict(row._mapping)) for row in found]


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    mailbox = row.pop("mailbox")
    return {**row, "username": row["username"] or mailbox}


def shown_account(connection: Connection, account: Row[Any]) -> dict[str, Any]:
    """All of an account but its password, and the automatic tasks that use it."""
    known = {column.name: getattr(account, column.name) for column in LISTED}
    known |= smtp_parts.parts_of(connection, account.id)
    return known | {"tasks": tasks_of(connection, account.id)}


def tasks_of(connection: Connection, account_id: int) -> list[str]:
    """The automatic tasks that use an account or fall back to it, by name."""
    others = select(TaskAccount.task_id).where(TaskAccount.account_id == account_id)
    query = select(AutomaticTask.name).where(
        or_(AutomaticTask.account_id == account_id, AutomaticTask.id.in_(others))
    )
    return list(connection.execute(query.order_by(AutomaticTask.name)).scalars())


def reseal_all(connection: Connection, vault: Vault) -> int:
    """Seal every stored credential anew under the newest key; returns how many there are.

    Raises:
        VaultError: one was sealed with a key that is not at hand; none is changed then, if the
            caller's transaction ends.
    """
    count = _reseal(connection, vault, Account.id, Account.password)
    count += _reseal(connection, vault, EurosmsAccount.account_id, EurosmsAccount.key)
    for secret in (SmtpOauth.client_secret, SmtpOauth.refresh_token, SmtpOauth.access_token):
        count += _reseal(connection, vault, SmtpOauth.account_id, secret)
    count += _reseal(connection, vault, Webhook.id, Webhook.secret)
    count += _reseal(connection, vault, Webhook.id, Webhook.secret_before)
    audit.record(connection, "rotate keys", "installation:1", after={"credentials": count})
    return count


def _reseal(
    connection: Connection, vault: Vault, key: InstrumentedAttribute[int], sealed: Any
) -> int:
    """One column of credentials, row by row in the order of their keys."""
    query = select(key, sealed).where(sealed.is_not(None)).order_by(key)
    # The lesser lock: who changes a message's state refers to a webhook's row meanwhile.
    found = connection.execute(query.with_for_update(key_share=True)).all()
    for row_id, secret in found:
        new = {sealed.key: vault.reseal(bytes(secret))}
        connection.execute(update(sealed.class_).where(key == row_id).values(new))
    return len(found)


def set_enabled(connection: Connection, account: Row[Any], kind: str, enabled: bool) -> bool:
    """Enable or disable a locked account of either channel; whether it was the other.

    Args:
        connection: the caller's transaction.
        account: its row.
        kind: of the subject in the audit log.
        enabled: an enabled one is used at once, with its breaker closed.
    """
    action = "enable" if enabled else "disable"
    values = {"enabled": enabled}
    changed = audit.change(connection, Account, kind, account.id, values, action=action)
    if enabled:
        close_breaker(connection, account.id)
        waking.wake(connection, account.id)
    return bool(changed)


def close_breaker(connection: Connection, account_id: int) -> None:
    """What was wrong may have been mended: try at once."""
    connection.execute(
        update(Account)
        .where(Account.id == account_id)
        .values(breaker_failures=0, breaker_until=None, breaker_why=None)
    )


def _sealed(vault: Vault, password: str | None) -> bytes | None:
    return None if password is None else vault.seal(password)


def _checked(values: Mapping[str, Any], account: Row[Any] | None) -> dict[str, Any]:
    new = dict(values)
    for name in ("host", "helo_name", "ca_file", "username"):
        _check_text(name, new.get(name))
    if "name" in new:
        new["name"] = check_name(new["name"], "SMTP account")
    if "security" in new and new["security"] not in PORTS:
        raise RegisterError(
            f"security is {shown(str(new['security']))}", f"it must be one of {', '.join(PORTS)}"
        )
    check_ranges(new, RANGES)
    _check_place(new, account)
    return new


def check_ranges(values: Mapping[str, Any], ranges: Mapping[str, tuple[float, float, str]]) -> None:
    """Refuse a number outside its range; what is absent or None passes.

    Raises:
        RegisterError: naming the number, its least and its most.
    """
    for name, (least, most, unit) in ranges.items():
        value = values.get(name)
        if value is not None and not least <= value <= most:
            raise RegisterError(
                f"{name.replace('_', ' ')} is {value:g}",
                f"it must be {least:g} to {most:,g} {unit}".rstrip(),
            )


def _check_text(name: str, value: str | None) -> None:
    if value is None:
        return
    refuse_unsafe(value, name.replace("_", " "))
    if not value.strip() or (name != "ca_file" and name != "username" and " " in value):
        raise RegisterError(
            f"{name.replace('_', ' ')} is {shown(value)}", "write it in full and without blanks"
        )


def _check_place(new: Mapping[str, Any], account: Row[Any] | None) -> None:
    if account is None and not new.get("host"):
        raise RegisterError("the account has no host", "name its SMTP server")
    check_ca_file(new.get("ca_file"))


def check_ca_file(ca_file: str | None) -> None:
    """Refuse a file of authorities whose place depends on who reads it.

    Raises:
        RegisterError: it is no full path.
    """
    if ca_file is not None and not ca_file.startswith("/"):
        raise RegisterError(
            f"the CA file {shown(ca_file)} is no full path",
            "begin it with /; each worker reads it on its own host",
        )


def _check_log_in(username: str | None, password: object) -> None:
    if username is not None and not password:
        raise RegisterError(
            f"there is a user name, {shown(username)}, and no password",
            "give the password, or leave the user name out",
        )
    if username is None and password is not None:
        raise RegisterError("there is a password and no user name", "add --username")
