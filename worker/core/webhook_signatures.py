"""What is told to a webhook, and how it is signed.

Source:
    Standard Webhooks 1.0 (its symmetric signatures, `v1`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

PREFIX = "whsec_"
SECRET_OCTETS = 32
"""Chosen: as many as the digest has; the standard takes 24 to 64."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of one change of state.

    Attributes:
        event: its number in the database.
        message: the message's.
        channel: "email" or "sms".
        state: the new one, in English.
        state_sk: the same in Slovak.
        reference: the enqueuer's own, if there is one.
        at: when it changed; aware.
    """

    event: int
    message: int
    channel: str
    state: str
    state_sk: str
    reference: str | None
    at: datetime

    @property
    def id(self) -> str:
        """The same each time it is told; as text, those of one message grow.

        The time comes first: after a restore from a backup the database counts anew from where
        the backup was made, and its numbers name other events.

        >>> Told(7, 1, "sms", "sent", "Odoslané", None, datetime(2026, 1, 1, tzinfo=UTC)).id
        'evt_1767225600000000_000000000007'
        """
        since = self.at - datetime(1970, 1, 1, tzinfo=UTC)
        # Whole numbers: seconds as a float would round the last digits away.
        micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        return f"evt_{micros:016}_{self.event:012}"

    @property
    def body(self) -> bytes:
        """JSON in UTF-8; neither addresses nor contents."""
        return _json(
            f"{self.channel}.{self.state}",
            self.at,
            {
                "id": self.message,
                "channel": self.channel,
                "state": self.state,
                "state_sk": self.state_sk,
                "reference": self.reference,
            },
        )


def trial(at: datetime) -> tuple[str, bytes]:
    """Id and body of what tells of nothing, to try a webhook with.

    >>> trial(datetime(2026, 1, 1, tzinfo=UTC))[1].decode()
    '{"type": "test", "timestamp": "2026-01-01T00:00:00+00:00", "data": {}}'
    """
    return f"test_{at.astimezone(UTC):%Y%m%d%H%M%S%f}", _json("test", at, {})


def _json(kind: str, at: datetime, data: dict[str, object]) -> bytes:
    told = {"type": kind, "timestamp": at.astimezone(UTC).isoformat(), "data": data}
    return json.dumps(told, ensure_ascii=False).encode()


def write_secret(octets: bytes) -> str:
    """A secret as the receiver gets it."""
    return PREFIX + base64.b64encode(octets).decode()


def read_secret(secret: str) -> bytes:
    """Its octets.

    Raises:
        ValueError: it is none.

    >>> read_secret(write_secret(b"tajne")), len(read_secret(write_secret(bytes(32))))
    (b'tajne', 32)
    """
    if not secret.startswith(PREFIX):
        raise ValueError("a webhook's secret begins with whsec_")
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a webhook's secret is base64") from None


def headers(secrets: Sequence[str], message_id: str, at: int, body: bytes) -> dict[str, str]:
    """The headers that let the receiver prove who told it, when, and that nothing was changed.

    Args:
        secrets: each signs; two while one takes the other's place.
        message_id: the same each time this is told.
        at: seconds since 1970, of this time.
        body: the octets that are sent.
    """
    signed = f"{message_id}.{at}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(_signature(read_secret(one), signed) for one in secrets),
    }


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
