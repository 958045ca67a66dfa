"""The SMTP connections of one sending process, one for each account that it uses."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from worker.accounts import smtp_settings
from worker.transports.smtp import SmtpTransport
from worker.vault import Vault

ACCOUNTS_KEPT = 8
"""Chosen: connections that an idle process may hold open; the longest unused goes first."""


class Accounts:
    """Transports by SMTP account; an account that was changed gets a new one."""

    def __init__(self, vault: Vault, answer_timeout: float) -> None:
        self._vault = vault
        self._answer_timeout = answer_timeout
        self._kept: dict[int, tuple[tuple[Any, ...], SmtpTransport]] = {}

    def transport(self, account: Row[Any]) -> SmtpTransport:
        """The transport of an account, perhaps with a connection that is still open.

        Raises:
            VaultError: its password cannot be opened.
        """
        known = self._kept.pop(account.id, None)
        if known is not None and known[0] != fingerprint(account):
            known[1].close()
            known = None
        if known is None:
            settings = smtp_settings(account, self._vault, self._answer_timeout)
            known = fingerprint(account), SmtpTransport(settings)
        self._kept[account.id] = known
        while len(self._kept) > ACCOUNTS_KEPT:
            self._kept.pop(next(iter(self._kept)))[1].close()
        return known[1]

    def close(self) -> None:
        """Say good-bye on all connections."""
        for _, transport in self._kept.values():
            transport.close()
        self._kept.clear()


FIELDS = (
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
)


def fingerprint(account: Row[Any]) -> tuple[Any, ...]:
    """What a connection depends on."""
    values = (getattr(account, name) for name in FIELDS)
    return tuple(bytes(v) if isinstance(v, memoryview) else v for v in values)
