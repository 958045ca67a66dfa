"""Webhooks as people and programs keep them: made, changed, disabled, taken away, and shown."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, text, update

from models.states import Channel
from models.webhooks import TOLD, Webhook
from worker.core.content import shown
from worker.core.webhook_addresses import Network, read_url
from worker.core.webhook_signatures import SECRET_OCTETS, write_secret
from worker.registers import RegisterError, audit
from worker.vault import Vault

KIND = "webhook"
"""Of the subject in the audit log."""

WEBHOOKS_MOST = 20
"""Chosen: of a company. Each is looked at with every change of state."""
OVERLAP = timedelta(hours=24)
"""Chosen: how long the secret before signs as well: time to bring the new one to every receiver."""

EVENTS = tuple(state.value for state in TOLD)
CHANNELS = tuple(channel.value for channel in Channel)

SHOWN = (
    "id",
    "url",
    "events",
    "channels",
    "active",
    "disabled_at",
    "disabled_why",
    "failures",
    "failing_since",
    "quiet_until",
    "secret_before_until",
    "created_at",
)
"""All but the secrets."""


class NotThere(RegisterError):
    """The company has no such webhook, or the webhook no such delivery."""


class Disabled(RegisterError):
    """Nothing is told to a disabled webhook."""


class TooMany(RegisterError):
    """The company has as many webhooks as it may."""


# What waits is told at once, by the oldest first, and with all its attempts.
TAKE_UP = text("""
    UPDATE webhook_delivery SET next_at = clock_timestamp(), attempts = 0
    WHERE webhook_id = :id AND next_at IS NOT NULL AND lease IS NULL
""")


def add(
    connection: Connection,
    company_id: int,
    vault: Vault,
    allowed: Collection[Network],
    *,
    url: str,
    events: Sequence[str] = EVENTS,
    channels: Sequence[str] = CHANNELS,
) -> tuple[int, str]:
    """Make a webhook.

    Args:
        connection: the caller's transaction.
        company_id: whose messages it hears of.
        vault: seals the secret.
        allowed: networks that an administrator allows.
        url: where to.
        events: the states that it hears of.
        channels: of e-mails, of SMS, or both.

    Returns:
        Its number, and the secret, which nobody can read again.

    Raises:
        ContentError: the URL may not be told.
        TooMany: it has as many as it may.
        RegisterError: a state or channel is none.
        VaultError: there is no key to seal the secret with.
    """
    read_url(url, allowed)
    # Of a company one is made at a time, or two could pass the limit together.
    connection.execute(text("SELECT FROM company WHERE id = :id FOR NO KEY UPDATE"),
                       {"id": company_id})  # fmt: skip
    query = select(func.count()).select_from(Webhook).where(Webhook.company_id == company_id)
    if connection.execute(query).scalar_one() >= WEBHOOKS_MOST:
        raise TooMany(f"the company has {WEBHOOKS_MOST} webhooks", "remove one that is not needed")
    secret = _new_secret()
    made = audit.add(
        connection,
        Webhook,
        KIND,
        {
            "company_id": company_id,
            "url": url,
            "events": listed(events, EVENTS, "state that is told"),
            "channels": listed(channels, CHANNELS, "channel"),
            "secret": vault.seal(secret),
        },
    )
    return made, secret


def listed(given: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """Those that are given, each once, in the order of those that are known.

    Raises:
        RegisterError: one is not known, or none is given.

    >>> listed(["failed", "sent", "sent"], EVENTS, "state that is told")
    ['sent', 'failed']
    """
    for one in given:
        if one not in known:
            raise RegisterError(f"{shown(one)} is no {what}", f"choose from {', '.join(known)}")
    if not given:
        raise RegisterError(f"no {what} is given", f"choose from {', '.join(known)}")
    return [one for one in known if one in given]


def find(
    connection: Connection, company_id: int, webhook_id: int, *, lock: bool = False
) -> Row[Any]:
    """A company's webhook, without its secrets.

    Raises:
        NotThere: it has none of that number.
    """
    columns = [Webhook.__table__.c[name] for name in SHOWN]
    query = select(*columns).where(Webhook.company_id == company_id, Webhook.id == webhook_id)
    found = connection.execute(query.with_for_update(key_share=True) if lock else query)
    row = found.one_or_none()
    if row is None:
        raise NotThere(
            f"there is no webhook {webhook_id}", "see `kadencia webhook list` for those there are"
        )
    return row


def webhooks(
    connection: Connection, company_id: int, after: int = 0, most: int = WEBHOOKS_MOST
) -> list[Row[Any]]:
    """A company's webhooks by number, those above `after`, without their secrets."""
    columns = [Webhook.__table__.c[name] for name in SHOWN]
    query = select(*columns).where(Webhook.company_id == company_id, Webhook.id > after)
    return list(connection.execute(query.order_by(Webhook.id).limit(most)))


def change(
    connection: Connection,
    webhook: Row[Any],
    allowed: Collection[Network],
    values: Mapping[str, Any],
) -> dict[str, Any]:
    """Change `url`, `events` or `channels`; returns what differs.

    Args:
        connection: the caller's transaction.
        webhook: as `find` returns it, locked.
        allowed: networks that an administrator allows.
        values: only those to be changed.

    Raises:
        ContentError, RegisterError: as `add`.
    """
    new = dict(values)
    if "url" in new:
        read_url(new["url"], allowed)
    if "events" in new:
        new["events"] = listed(new["events"], EVENTS, "state that is told")
    if "channels" in new:
        new["channels"] = listed(new["channels"], CHANNELS, "channel")
    changed = audit.change(connection, Webhook, KIND, webhook.id, new) if new else {}
    if "url" in changed and webhook.active:
        # Another receiver: what is known of the one before says nothing of it.
        take_up(connection, webhook.id)
    return changed


def disable(connection: Connection, webhook: Row[Any]) -> bool:
    """Tell a webhook nothing more, as a person orders; whether it was active.

    What happens meanwhile is kept, and can be told later by a replay.
    """
    if not webhook.active:
        return False
    values = {"active": False, "disabled_at": func.clock_timestamp()}
    connection.execute(update(Webhook).where(Webhook.id == webhook.id).values(values))
    audit.record(connection, "disable", f"{KIND}:{webhook.id}", {"active": True}, {"active": False})
    return True


def disable_failing(connection: Connection, webhook_id: int, why: str) -> None:
    """Tell a webhook nothing more, since its receiver takes nothing; an alarm says so."""
    values = {"active": False, "disabled_at": func.clock_timestamp(), "disabled_why": why}
    connection.execute(update(Webhook).where(Webhook.id == webhook_id).values(values))
    after = {"active": False, "disabled_why": why}
    audit.record(connection, "disable", f"{KIND}:{webhook_id}", {"active": True}, after)


def enable(connection: Connection, webhook: Row[Any]) -> bool:
    """Tell a webhook again, at once; whether it was disabled.

    Of an active one that fails, the waiting is over.
    """
    if not webhook.active:
        values = {"active": True, "disabled_at": None, "disabled_why": None}
        statement = update(Webhook).where(Webhook.id == webhook.id).values(values)
        connection.execute(statement)
        before = {"active": False, "disabled_why": webhook.disabled_why}
        audit.record(connection, "enable", f"{KIND}:{webhook.id}", before, {"active": True})
    take_up(connection, webhook.id)
    return not webhook.active


def take_up(connection: Connection, webhook_id: int) -> None:
    """Forget that it failed, and have what waits told at once."""
    values = {"failures": 0, "failing_since": None, "quiet_until": None}
    connection.execute(update(Webhook).where(Webhook.id == webhook_id).values(values))
    connection.execute(TAKE_UP, {"id": webhook_id})


def rotate(connection: Connection, webhook: Row[Any], vault: Vault) -> str:
    """Make a new secret; the one before signs as well for `OVERLAP`. Returns the new one.

    Raises:
        VaultError: there is no key to seal it with.
    """
    secret = _new_secret()
    values = {
        "secret": vault.seal(secret),
        "secret_before": Webhook.secret,
        "secret_before_until": func.clock_timestamp() + OVERLAP,
    }
    connection.execute(update(Webhook).where(Webhook.id == webhook.id).values(values))
    audit.record(connection, "rotate secret", f"{KIND}:{webhook.id}")
    return secret


def remove(connection: Connection, webhook: Row[Any]) -> None:
    """Take a webhook away, with what waits for it."""
    connection.execute(delete(Webhook).where(Webhook.id == webhook.id))
    before = {"url": webhook.url, "events": webhook.events, "channels": webhook.channels}
    audit.record(connection, "remove", f"{KIND}:{webhook.id}", before)


def _new_secret() -> str:
    return write_secret(secrets.token_bytes(SECRET_OCTETS))
