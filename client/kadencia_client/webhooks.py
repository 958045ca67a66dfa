"""Calls that Kadencia makes to tell of changed states, and the proof that it made them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kadencia_client.errors import WebhookError

TOLERANCE_SECONDS = 300.0
"""Chosen, as Standard Webhooks recommends: an older call may be somebody's copy."""


@dataclass(frozen=True, slots=True)
class Event:
    """What was told.

    Attributes:
        id: the same each time it is told, so that a receiver does it once.
        type: as in `email.delivered`.
        at: when the state changed.
        data: id, channel, state, state_sk and reference of the message.
    """

    id: str
    type: str
    at: datetime
    data: Mapping[str, Any] = field(repr=False)


def verify_webhook(
    secret: str | Iterable[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float | None = None,
    tolerance: float = TOLERANCE_SECONDS,
) -> Event:
    """Prove that a call comes from Kadencia, is fresh and unchanged; returns what it tells.

    Args:
        secret: of the webhook, `whsec_…`; several while one takes the other's place.
        headers: of the request; their names in any case.
        body: its octets as they came, not read and written anew.
        now: seconds since 1970; None for this machine's clock.
        tolerance: seconds that the sender's clock may differ.

    Raises:
        WebhookError: do not believe it; answer 400.

    Source:
        Standard Webhooks 1.0, symmetric signatures.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        number, moment = given["webhook-id"], given["webhook-timestamp"]
        signatures = given["webhook-signature"].split()
        seconds = int(moment)
    except KeyError as missing:
        raise WebhookError(f"the header {missing} is missing") from None
    except ValueError:
        raise WebhookError("the header webhook-timestamp is no time") from None
    if abs((time.time() if now is None else now) - seconds) > tolerance:
        raise WebhookError("it is too old, or from the future; compare the clocks")
    signed = f"{number}.{moment}.".encode() + body
    secrets = [secret] if isinstance(secret, str) else list(secret)
    wanted = [_signature(_octets(one), signed) for one in secrets]
    # All are compared, whichever fits: the time taken tells nothing.
    fits = [hmac.compare_digest(a.encode(), b.encode()) for a in wanted for b in signatures]
    if not any(fits):
        raise WebhookError("no signature fits: it is not from Kadencia, or the secret is another")
    return _event(number, body)


def _event(number: str, body: bytes) -> Event:
    try:
        told = json.loads(body)
        moment = datetime.fromisoformat(told["timestamp"])
        return Event(number, str(told["type"]), moment, dict(told["data"]))
    except (ValueError, KeyError, TypeError):
        raise WebhookError("the body is not what Kadencia sends") from None


def _octets(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("the secret of the webhook is none; it begins with whsec_") from None


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
