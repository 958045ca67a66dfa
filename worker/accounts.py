"""From the row of an SMTP account to what its transport takes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from worker.transports.smtp import SmtpSettings
from worker.vault import Vault


def smtp_settings(account: Row[Any], vault: Vault, answer_timeout: float) -> SmtpSettings:
    """An account's row as the transport takes it, its password opened.

    Raises:
        VaultError: no key at hand fits.
    """
    sealed = account.password
    return SmtpSettings(
        name=account.name,
        host=account.host,
        port=account.port,
        security=account.security,
        verify=account.verify,
        ca_file=account.ca_file,
        username=account.username,
        password=None if sealed is None else vault.open(bytes(sealed)),
        helo_name=account.helo_name,
        connect_timeout=account.connect_timeout,
        command_timeout=account.command_timeout,
        answer_timeout=answer_timeout,
        connection_messages=account.connection_messages,
    )
