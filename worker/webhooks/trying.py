"""Trying a webhook: one POST, now, from this host."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from models.webhooks import Webhook
from settings import Settings
from worker.core.webhook_addresses import parse_networks, read_url
from worker.core.webhook_retry import Answer
from worker.core.webhook_signatures import headers, trial
from worker.vault import Vault
from worker.webhooks.posting import authorities, post


def secret_of(connection: Connection, webhook: Row[Any], vault: Vault) -> str:
    """A webhook's secret in the clear.

    Raises:
        VaultError: no key fits.
    """
    query = select(Webhook.secret).where(Webhook.id == webhook.id)
    return vault.open(bytes(connection.execute(query).scalar_one()))


def try_out(webhook: Row[Any], secret: str, settings: Settings) -> Answer:
    """Tell a webhook of nothing, signed as ever; no transaction is to be open meanwhile.

    Raises:
        ContentError: its URL is no longer allowed.
        SettingsError: the file of authorities cannot be used.
    """
    allowed = parse_networks(settings.webhook_allow or "")
    target = read_url(webhook.url, allowed)
    now = datetime.now(UTC)
    test_id, body = trial(now)
    signed = headers([secret], test_id, int(now.timestamp()), body)
    return post(target, body, signed, allowed, authorities(settings))
