"""The clients of EuroSMS that one sending process keeps, one for each account that it uses."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from worker.eurosms import EuroSms
from worker.eurosms_accounts import eurosms_settings
from worker.vault import Vault

GATEWAYS_KEPT = 8
"""Chosen: clients that a process keeps; the longest unused goes first."""


class Gateways:
    """Clients by account; an account that was changed gets a new one."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._kept: dict[int, tuple[tuple[Any, ...], EuroSms]] = {}

    def client(self, account: Row[Any]) -> EuroSms:
        """The client of an account, perhaps with a connection that is still open.

        Raises:
            VaultError: its key cannot be opened.
        """
        known = self._kept.pop(account.id, None)
        if known is not None and known[0] != fingerprint(account):
            known[1].close()
            known = None
        if known is None:
            known = fingerprint(account), EuroSms(eurosms_settings(account, self._vault))
        self._kept[account.id] = known
        while len(self._kept) > GATEWAYS_KEPT:
            self._kept.pop(next(iter(self._kept)))[1].close()
        return known[1]

    def close(self) -> None:
        """Close the kept connections."""
        for _, client in self._kept.values():
            client.close()
        self._kept.clear()


FIELDS = (
    "base_url",
    "integration_id",
    "key",
    "digest",
    "time_zone",
    "verify",
    "ca_file",
    "connect_timeout",
    "answer_timeout",
)


def fingerprint(account: Row[Any]) -> tuple[Any, ...]:
    """What a client depends on."""
    values = (getattr(account, name) for name in FIELDS)
    return tuple(bytes(v) if isinstance(v, memoryview) else v for v in values)
