"""Retention: texts and files go after a set time, the evidence of sending stays longer.

Deleting in small batches, not by partitions: docs/decisions/0006-retention.md says why.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from settings import Settings
from worker import db
from worker.outbox import retiring

log = structlog.get_logger()

BATCHES_MOST = 200
"""Chosen: what one run may delete, so that it never takes an hour; the next goes on."""


def retain(engine: Engine, settings: Settings) -> None:
    """Drop what is kept no longer. Doubled or cut short, it does no harm."""
    bodies = timedelta(days=settings.body_retention_days)
    evidence = timedelta(days=settings.evidence_retention_days)
    webhooks = timedelta(days=settings.webhook_retention_days)
    done = {
        "bodies_let_go": _in_batches(engine, lambda c: retiring.let_bodies_go(c, bodies)),
        "texts_let_go": _in_batches(engine, lambda c: retiring.let_texts_go(c, bodies)),
        "messages": _in_batches(engine, lambda c: retiring.drop_messages(c, evidence)),
        "bodies": _in_batches(engine, retiring.drop_bodies),
        "uploads": _in_batches(engine, retiring.drop_uploads),
        "attachments": _in_batches(engine, retiring.drop_attachments),
        "reports": _in_batches(engine, lambda c: retiring.drop_unmatched_reports(c, evidence)),
        "inbound_sms": _in_batches(engine, lambda c: retiring.drop_inbound(c, evidence)),
        "webhook_events": _in_batches(engine, lambda c: retiring.drop_webhook_events(c, webhooks)),
        "journal": _in_batches(engine, lambda c: retiring.drop_journal(c, evidence)),
    }
    if any(done.values()):
        log.info("retained", **done)


def _in_batches(engine: Engine, drop: Callable[[Connection], int]) -> int:
    total = 0
    for _ in range(BATCHES_MOST):
        try:
            with db.transaction(engine) as connection:
                if not db.try_lock(connection, db.Lock.RETENTION):
                    break
                dropped = drop(connection)
        except IntegrityError:
            # A new message took up a body, between our look and our deleting: the next run goes on.
            break
        total += dropped
        if dropped < retiring.BATCH:
            break
    return total
