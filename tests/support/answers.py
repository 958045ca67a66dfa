"""What an SMTP server answers, as tests of settling tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from tests.support.rows import MadeMessage, MadeTask, make_message
from worker.core.outcomes import Outcome
from worker.outbox import settling
from worker.outbox.answers import Answer, RecipientAnswer

ACCEPTED, DEFERRED, REJECTED, UNKNOWN = (
    Outcome.ACCEPTED,
    Outcome.DEFERRED,
    Outcome.REJECTED,
    Outcome.UNKNOWN,
)
THREE = ["a@one.example", "b@two.example", "c@two.example"]


def answer(
    *outcomes: Outcome,
    overall: Outcome | None = None,
    charged: bool = True,
    words: str = "said so",
) -> Answer:
    """The far side's answer for the recipients from the first on."""
    each = tuple(
        RecipientAnswer(position, outcome, words) for position, outcome in enumerate(outcomes)
    )
    return Answer(overall or outcomes[0], each, charged=charged, code=250, text=words)


def sending(
    connection: Connection,
    task: MadeTask,
    *,
    to: Sequence[str] = ("anna@firma.example",),
    **columns: Any,
) -> MadeMessage:
    """A message with an open attempt."""
    return make_message(connection, task, recipients=to, state="sending", **columns)


def settle(connection: Connection, sent: MadeMessage, given: Answer, **options: Any) -> str | None:
    """Settle a message's attempt, without chance; its new state."""
    assert sent.lease is not None
    return settling.settle(connection, sent.lease, given, 0.0, **options)
