"""Figures of what other services see: what they hand in, and the webhooks that tell them."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

from models.states import IntakeState
from worker.figures import catalogue as of
from worker.figures.catalogue import Point

# Both by their partial index; nobody waits for the others.
INTAKE = text("""
    SELECT state, count(*) AS documents FROM intake
    WHERE state = 'waiting' OR state = 'rejected' GROUP BY state
""")

WEBHOOKS = text("""
    SELECT w.id, w.failures, w.disabled_why IS NOT NULL AS given_up,
        (SELECT count(*) FROM webhook_delivery d
         WHERE d.webhook_id = w.id AND d.next_at IS NOT NULL) AS waiting
    FROM webhook w ORDER BY w.id
""")


def of_services(connection: Connection) -> Iterator[Point]:
    """Documents that wait or were rejected, and deliveries that wait."""
    found = {row.state: row.documents for row in connection.execute(INTAKE)}
    for state in (IntakeState.WAITING, IntakeState.REJECTED):
        yield Point(of.INTAKE, found.get(state, 0), (state,))
    for row in connection.execute(WEBHOOKS):
        webhook = (str(row.id),)
        yield Point(of.WEBHOOK_WAITING, row.waiting, webhook)
        yield Point(of.WEBHOOK_FAILURES, row.failures, webhook)
        yield Point(of.WEBHOOK_GIVEN_UP, row.given_up, webhook)
