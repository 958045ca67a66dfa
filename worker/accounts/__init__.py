"""From the row of an SMTP account to what its transport takes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, Row

from worker.accounts.tokens import StoredTokens
from worker.core.dsn import Dsn
from worker.transports.smtp import SmtpSettings
from worker.vault import Vault

OF_CONNECTION = (
    "host",
    "port",
    "security",
    "verify",
    "ca_file",
    "username",
    "password",
    "helo_name",
    "connect_timeout",
    "command_timeout",
    "connection_messages",
    "log_in",
    "cert_file",
    "key_file",
    "dsn",
    "dsn_return",
    "oauth_username",
)
"""What of an account's row, from `worker.outbox.routes`, a connection depends on."""


def smtp_settings(
    account: Row[Any], vault: Vault, engine: Engine, answer_timeout: float
) -> SmtpSettings:
    """An account's row, from `worker.outbox.routes`, as the transport takes it.

    Args:
        account: of SMTP.
        vault: opens its password.
        engine: the database in which its access tokens lie, if it has any.
        answer_timeout: seconds for the answer after the final dot.

    Raises:
        VaultError: no key at hand fits.
    """
    sealed, tokens = account.password, None
    if account.oauth_username is not None:
        tokens = StoredTokens(engine, vault, account.id, account.name, account.oauth_username)
    return SmtpSettings(
        name=account.name,
        host=account.host,
        port=account.port,
        security=account.security,
        verify=account.verify,
        ca_file=account.ca_file,
        username=account.username,
        password=None if sealed is None else vault.open(bytes(sealed)),
        log_in=account.log_in,
        tokens=tokens,
        cert_file=account.cert_file,
        key_file=account.key_file,
        dsn=None if account.dsn is None else Dsn(tuple(account.dsn), account.dsn_return),
        helo_name=account.helo_name,
        connect_timeout=account.connect_timeout,
        command_timeout=account.command_timeout,
        answer_timeout=answer_timeout,
        connection_messages=account.connection_messages,
    )
