"""Hands e-mails and SMS to Kadencia over its HTTP API.

    from kadencia_client import Client, Email

    with Client("https://kadencia.firma.example", token) as client:
        done = client.send_email(Email(to=["jana@zakaznik.example"], subject="Faktúra", text="…"))

What is sent always has an idempotency key. So everything is safe to repeat, and the client repeats
by itself what failed on the way.
"""

from __future__ import annotations

from kadencia_client.client import Client
from kadencia_client.drafts import Attachment, Email, Sms
from kadencia_client.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    KadenciaError,
    NotFound,
    Problem,
    Unavailable,
    WebhookError,
)
from kadencia_client.views import Attempt, BatchResult, Enqueued, Message, Recipient
from kadencia_client.webhooks import Event, verify_webhook

__all__ = [
    "ApiError",
    "Attachment",
    "Attempt",
    "BatchResult",
    "Client",
    "Conflict",
    "Email",
    "Enqueued",
    "Event",
    "Forbidden",
    "Invalid",
    "KadenciaError",
    "Message",
    "NotFound",
    "Problem",
    "Recipient",
    "Sms",
    "Unavailable",
    "WebhookError",
    "verify_webhook",
]
