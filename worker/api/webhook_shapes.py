"""Webhooks as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from worker.api.given import Given, Moment
from worker.api.shown import Shown

Event = Literal[
    "sent",
    "delivered",
    "undelivered",
    "failed",
    "suppressed",
    "expired",
    "cancelled",
    "unknown",
    "held",
]
ChannelName = Literal["email", "sms"]
Events = Annotated[list[Event], Field(min_length=1, max_length=9)]
Channels = Annotated[list[ChannelName], Field(min_length=1, max_length=2)]
Url = Annotated[str, Field(min_length=1, max_length=2_000)]


class WebhookGiven(Given):
    """A webhook to be made."""

    url: Url
    """https, at a public address."""
    events: Events | None = None
    """The states that it is told; all, if none are named."""
    channels: Channels | None = None
    """Both, if none are named."""


class WebhookPatch(Given):
    """What is to be changed of a webhook; what is left out stays."""

    url: Url | None = None
    events: Events | None = None
    channels: Channels | None = None
    active: bool | None = None
    """false tells it nothing more; what happens meanwhile is kept, and can be replayed."""


class ReplayGiven(Given):
    """What is to be told again."""

    since: Moment
    undelivered: bool = False
    """Leave out what was taken."""


class WebhookShown(Shown):
    """A webhook. `disabled_why` says why it was disabled, if a person has not done it."""

    id: int
    url: str
    events: list[Event]
    channels: list[ChannelName]
    active: bool
    disabled_at: datetime | None
    disabled_why: str | None
    failures: int
    failing_since: datetime | None
    created_at: datetime


class WebhookMade(WebhookShown):
    """A new webhook, with the secret that verifies signatures; it is shown this once."""

    secret: str


class SecretShown(Shown):
    """A new secret; for 24 hours the one before signs as well."""

    secret: str


class WebhookPage(Shown):
    """Webhooks, oldest first; `next_cursor` leads to newer ones, null if there are none."""

    items: list[WebhookShown]
    next_cursor: str | None


class DeliveryShown(Shown):
    """What became of telling one event. `next_at` is the next attempt, null if there is none."""

    id: int
    message_id: int
    channel: ChannelName
    state: Event
    state_sk: str
    reference: str | None
    at: datetime
    standing: Literal["delivered", "waiting", "given up"]
    attempts: int
    next_at: datetime | None
    delivered_at: datetime | None
    last_at: datetime | None
    last_status: int | None
    last_why: str | None


class DeliveryPage(Shown):
    """Deliveries, newest first; `next_cursor` leads to older ones, null if there are none."""

    items: list[DeliveryShown]
    next_cursor: str | None


class Replayed(Shown):
    """How many events are told again."""

    events: int
