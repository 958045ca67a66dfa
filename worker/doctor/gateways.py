"""EuroSMS: whether its accounts work, and whether delivery reports come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row

from models.automation import Account
from worker.core.alarms import is_low
from worker.doctor.findings import Finding, Installation, fault, ok, warning
from worker.doctor.sending import IN_USE
from worker.doctor.trials import PATIENCE_SECONDS, all_at_once
from worker.errors import TransportUnavailable
from worker.eurosms import EuroSmsSettings
from worker.eurosms_accounts import eurosms_accounts, eurosms_settings
from worker.outbox import figures, watch
from worker.registers import eurosms_probe as probe
from worker.registers.eurosms_probe import Trial
from worker.vault import VaultError


def accounts(installation: Installation, connection: Connection) -> Iterator[Finding]:
    """Whether each enabled account would send an SMS; all are tried at once, with dry runs."""
    if not installation.smtp:
        return
    rows = connection.execute(eurosms_accounts().where(Account.enabled).order_by(Account.id)).all()
    in_use = set(connection.execute(IN_USE).scalars())
    tries = {}
    for row in rows:
        settings = _settings(installation, row)
        if settings is not None:
            sms = probe.dry_run(
                probe.sender_of(connection, row, None), probe.NUMBER, "SK", probe.TEXT
            )
            tries[row] = partial(probe.try_out, settings, sms)
    for row, found in all_at_once(tries):
        yield _of_account(row, found, used=row.id in in_use)


def reports(_: Installation, connection: Connection) -> Iterator[Finding]:
    """Whether delivery reports can be fetched, and how many SMS await theirs."""
    gateways = watch.gateways(connection)
    for one in gateways:
        name = f"delivery reports of {one.name}"
        if one.poll_failures:
            yield warning(
                name,
                f"asked for {one.poll_failures} times in vain: {one.poll_why}",
                f"`kadencia eurosms test {one.name!r}` tries the account; EuroSMS keeps them for "
                f"7 days",
            )
        elif one.poll_overdue:
            yield fault(
                name,
                "awaited, and not fetched for an hour",
                "see that `kadencia beat` runs, and a worker that sends SMS",
            )
        if is_low(one.balance, one.price):
            yield warning(
                f"balance of {one.name}",
                f"{one.balance:.2f} EUR were left when last seen",
                f"top it up, then run `kadencia eurosms balance {one.name!r}`",
            )
    if gateways:
        yield ok("delivery reports", f"awaited for {figures.awaited(connection)} SMS")


def _settings(installation: Installation, row: Row[Any]) -> EuroSmsSettings | None:
    """How to ask, with less patience; None if the key can't be opened: `keys` says so."""
    try:
        found = eurosms_settings(row, installation.vault)
    except VaultError:
        return None
    return replace(
        found,
        connect_timeout=min(found.connect_timeout, PATIENCE_SECONDS / 4),
        answer_timeout=min(found.answer_timeout, PATIENCE_SECONDS / 4),
    )


def _of_account(row: Row[Any], found: Trial | BaseException, *, used: bool) -> Finding:
    name = f"EuroSMS account {row.name}"
    mend = f"`kadencia eurosms test {row.name!r}` tells more"
    if isinstance(found, Trial) and found.works:
        left = f"{found.balance.amount:.2f} {found.balance.currency} left" if found.balance else ""
        return ok(name, f"it would send{f'; {left}' if left else ''}")
    if isinstance(found, Trial):
        what = probe.words_of(found.answer)
    else:
        what = found.reason if isinstance(found, TransportUnavailable) else str(found)
    return fault(name, what, mend) if used else warning(name, what, mend)
