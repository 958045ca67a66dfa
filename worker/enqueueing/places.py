"""Where messages go, and whether what is under a key is the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from models.states import Channel
from worker.core.content import ContentError
from worker.outbox import inbox


class KeyConflict(ContentError):
    """An idempotency key was used before, for something else."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The message, and whether it was made now or stood there already under its key."""

    message_id: int
    created: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where messages go.

    Attributes:
        domain: the company's; it ends the Message-IDs of its e-mails.
        country: of numbers without a calling code.
        now: PostgreSQL's clock.
    """

    lane_id: int
    domain: str
    country: str
    now: datetime


def place(
    connection: Connection,
    company_id: int,
    establishment_id: int | None,
    task_id: int | None,
    channel: Channel = Channel.EMAIL,
) -> Place:
    """Find or make the lane of a message.

    Raises:
        ContentError: as `check_place`.
    """
    row = check_place(connection, company_id, establishment_id, task_id, channel)
    lane_id = inbox.lane(connection, company_id, establishment_id, task_id, channel)
    return Place(lane_id, row.domain, row.country, row.now)


def check_place(
    connection: Connection,
    company_id: int,
    establishment_id: int | None,
    task_id: int | None,
    channel: Channel,
) -> Row[Any]:
    """The company's domain and country, and PostgreSQL's clock.

    Raises:
        ContentError: there is no such company, establishment or task is not its own, or the
            task sends messages of the other channel.
    """
    row = inbox.place(connection, company_id, establishment_id, task_id)
    if row is None:
        raise ContentError("does not exist", f"company {company_id}", "create it first")
    task_fits = task_id is None or row.task_channel is not None
    for fits, what in (
        (row.establishment_fits, f"establishment {establishment_id}"),
        (task_fits, f"automatic task {task_id}"),
    ):
        if not fits:
            raise ContentError(
                f"does not exist in company {company_id}", what, "name one of the company's own"
            )
    if task_id is not None and row.task_channel != channel:
        words = {Channel.EMAIL: "e-mails", Channel.SMS: "SMS"}
        raise ContentError(
            f"sends {words[row.task_channel]}",
            f"automatic task {task_id}",
            f"name one that sends {words[channel]}",
        )
    return row


def refuse_conflict(before: bytes | None, digest: bytes, message_id: int, where: str) -> None:
    """Refuse other content under a key.

    Raises:
        KeyConflict: naming the first message.
    """
    if before != digest:
        raise KeyConflict(
            f"was used before for other content, in message {message_id}",
            where,
            "use a new key, or enqueue the same content",
        )
