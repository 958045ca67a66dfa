"""What other Celery applications hand in as tasks: the task is the only copy until we commit."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, SQLAlchemyError

from models.states import Channel
from settings import Settings
from worker import db
from worker.core.content import ContentError
from worker.enqueueing import Enqueued
from worker.enqueueing.drafts import KEY_CHARACTERS_MAX
from worker.intake import rows
from worker.intake.documents import HELP, read, storable
from worker.intake.drafting import draft_of, enqueue_draft
from worker.intake.taking import why_rejected
from worker.registers import RegisterError
from worker.registers.naming import find_company

log = structlog.get_logger()

PATIENCE_SECONDS = 10.0
"""Chosen: how long a task waits in place for the database, which is back from a restart by then."""
PAUSE_SECONDS = 0.5
ORIGIN_CHARACTERS = 200
NOT_KEPT = {"note": "what was handed in cannot be stored"}


def hand_in(
    engine: Engine,
    settings: Settings,
    channel: Channel,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    origin: str | None,
) -> bool:
    """Make a message of what a task brought, or keep it as rejected.

    Args:
        engine: on the outbox.
        settings: with the limits on size and recipients.
        channel: which its name says.
        arguments: positional ones; there should be none.
        keywords: `document` alone, if all is well.
        origin: the process that sent the task, as Celery names it.

    Returns:
        False if the database stayed away: the task must be kept and come again.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            _settle(engine, settings, channel, arguments, keywords, origin)
        except SQLAlchemyError as error:
            log.warning("the database is away", error=type(error).__name__)
            if time.monotonic() > until:
                return False
            time.sleep(PAUSE_SECONDS)
        else:
            return True


def _settle(
    engine: Engine,
    settings: Settings,
    channel: Channel,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    origin: str | None,
) -> None:
    host = (origin or "").rpartition("@")[2]  # the whole would be masked as an address
    try:
        with db.transaction(engine) as connection:
            done = _accept(connection, settings, channel, arguments, keywords)
        log.info("taken in", message=done.message_id, created=done.created, host=host)
        return
    except Exception as error:
        why = why_rejected(error)
        if why is None:
            raise
    kept = _keep(engine, channel, _whole(arguments, keywords), why, origin)
    log.warning("rejected", intake=kept, host=host)


def _whole(arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """What there is to keep: the document, or whatever else the task brought."""
    if not arguments and set(keywords) == {"document"}:
        return keywords["document"]
    return {"args": list(arguments), "kwargs": dict(keywords)}


def _keep(engine: Engine, channel: Channel, given: Any, why: str, origin: str | None) -> int:
    """Keep what was rejected; returns its number.

    Raises:
        SQLAlchemyError: the database is away.
    """
    key, sender = _key(given), storable(str(origin or ""))[:ORIGIN_CHARACTERS] or None
    try:
        with db.transaction(engine) as connection:
            company_id = _company_of(connection, given)
            return rows.keep(connection, company_id, channel, storable(given), key, why, sender)
    except (DataError, RecursionError):
        # Nested too deeply, or too large a text. What is left is the reason; else it would come
        # again for ever.
        with db.transaction(engine) as connection:
            return rows.keep(connection, None, channel, NOT_KEPT, None, why, sender)


def _accept(
    connection: Connection,
    settings: Settings,
    channel: Channel,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
) -> Enqueued:
    if arguments or set(keywords) != {"document"}:
        raise ContentError("takes one keyword argument, document", "task", HELP)
    given = read(channel, keywords["document"])
    key = given.idempotency_key
    if key is None:
        raise ContentError(
            "is missing", "idempotency_key", "give one, since Celery may deliver a task twice"
        )
    company_id = find_company(connection, given.company).id
    done = enqueue_draft(connection, draft_of(connection, company_id, given), settings)
    rows.settle(connection, company_id, key, done.message_id)
    return done


def _company_of(connection: Connection, given: Any) -> int | None:
    name = given.get("company") if isinstance(given, Mapping) else None
    if name is not None and not isinstance(name, str):
        return None
    try:
        return int(find_company(connection, None if name is None else storable(name)).id)
    except (RegisterError, ContentError):
        return None


def _key(given: Any) -> str | None:
    """The key under which it is kept once, if it has one that can be one."""
    key = given.get("idempotency_key") if isinstance(given, Mapping) else None
    if not isinstance(key, str) or not 0 < len(key) <= KEY_CHARACTERS_MAX:
        return None
    return str(storable(key))
