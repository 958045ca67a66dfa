"""The judge of a fault run: from the SMTP server's journal and the database, not from Redis."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from worker.core.windows import worst_window

VISIBLE = {"ready", "released", "sending", "held", "unknown"}
ENDED = {"sent", "delivered", "failed", "undelivered", "suppressed", "expired", "cancelled"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to.

    Attributes:
        lost: enqueued, and neither in an end nor anywhere a person can see.
        doubled: accepted by the SMTP server more than once.
        worst: most final dots in any window.
        states: how many messages are in each state.
        accepted: final dots that were answered with 250.
    """

    lost: int
    doubled: int
    worst: int
    states: dict[str, int]
    accepted: int


def judge(
    engine: Engine, journal: list[dict[str, Any]], enqueued: set[str], window_us: int
) -> Verdict:
    """Compare what was enqueued, by Message-ID, with both records."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT message_id, state FROM message")).all()
    seen = {row.message_id for row in rows if row.state in VISIBLE | ENDED}
    arrived = Counter(e["message_id"] for e in journal if e["code"] == 250)
    dots = [(e["dot_us"], len(e["recipients"])) for e in journal if e["dot_us"] is not None]
    said_sent = {row.message_id for row in rows if row.state == "sent"}
    return Verdict(
        lost=len(enqueued - seen) + len(said_sent - arrived.keys()),
        doubled=sum(times > 1 for times in arrived.values()),
        worst=worst_window(dots, window_us).total,
        states=dict(Counter(row.state for row in rows)),
        accepted=sum(arrived.values()),
    )
