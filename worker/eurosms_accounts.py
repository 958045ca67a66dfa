"""Accounts at EuroSMS, from the two tables that hold one to what the client takes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Select, select

from models.automation import Account
from models.sms import EurosmsAccount
from worker.eurosms import EuroSmsSettings
from worker.vault import Vault

PUSH_PATH = "/eurosms/"
"""Where reports are pushed to; each account's secret follows."""

OF_ACCOUNT = (
    Account.id,
    Account.company_id,
    Account.name,
    Account.enabled,
    Account.most_connections,
    Account.hourly_limit,
    Account.breaker_failures,
    Account.breaker_until,
    Account.breaker_why,
    Account.created_at,
)
"""Both tables know time-outs, `verify` and a CA file; those of `account` are for SMTP alone."""


def eurosms_accounts() -> Select[*tuple[Any, ...]]:
    """Accounts at EuroSMS, each with all that is known of it; to be narrowed by the caller."""
    return select(*OF_ACCOUNT, EurosmsAccount.__table__).join(
        EurosmsAccount, EurosmsAccount.account_id == Account.id
    )


def eurosms_settings(account: Row[Any], vault: Vault) -> EuroSmsSettings:
    """An account's row as the client takes it, its key opened.

    Args:
        account: as `eurosms_accounts` reads it; of another query, with the columns
            of `eurosms_account` and the name.
        vault: opens the key.

    Raises:
        VaultError: no key at hand fits.
    """
    return EuroSmsSettings(
        name=account.name,
        integration_id=account.integration_id,
        key=vault.open(bytes(account.key)),
        base_url=account.base_url,
        digest=account.digest,
        time_zone=account.time_zone,
        connect_timeout=account.connect_timeout,
        answer_timeout=account.answer_timeout,
        verify=account.verify,
        ca_file=account.ca_file,
    )
