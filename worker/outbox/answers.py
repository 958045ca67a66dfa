"""What the far side made of an attempt, and what that makes of each recipient."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from models.states import RecipientState
from worker.core.outcomes import Outcome
from worker.outbox import moving

OF_OUTCOME = {
    Outcome.ACCEPTED: RecipientState.SENT,
    Outcome.REJECTED: RecipientState.FAILED,
    Outcome.UNKNOWN: RecipientState.UNKNOWN,
    Outcome.DEFERRED: RecipientState.PENDING,
}
TO_REACH = frozenset({RecipientState.PENDING, RecipientState.UNKNOWN})
"""Only what becomes of these is open: nobody who has a mail loses it by another answer."""


@dataclass(frozen=True, slots=True)
class RecipientAnswer:
    """What the far side made of one recipient; `words` are its reply."""

    position: int
    outcome: Outcome
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the far side made of an attempt.

    Attributes:
        outcome: of the message as a whole.
        recipients: of each envelope recipient.
        charged: whether it counts against the task's most attempts.
        phase, code, enhanced, text: the far side's words (RFC 5321, RFC 3463).
        uuids: what EuroSMS called the segments of an SMS.
    """

    outcome: Outcome
    recipients: tuple[RecipientAnswer, ...]
    charged: bool = True
    phase: str | None = None
    code: int | None = None
    enhanced: str | None = None
    text: str | None = None
    uuids: tuple[str, ...] = ()


def replies_of(answer: Answer) -> str | None:
    """The words on each recipient, as JSON; kept only where they tell more than the whole."""
    if len({(one.outcome, one.words) for one in answer.recipients}) < 2:
        return None
    return json.dumps([[one.position, one.outcome.value, one.words] for one in answer.recipients])


class Recipients:
    """The recipients of a message as an answer changes them.

    Args:
        connection: within a transaction that holds the message's row.
        message_id: the message.

    Attributes:
        states: by position.
    """

    def __init__(self, connection: Connection, message_id: int) -> None:
        self._connection = connection
        self._message_id = message_id
        self._rows = moving.recipients(connection, message_id)
        self._before = {r.position: RecipientState(r.state) for r in self._rows}
        self._words: dict[int, str | None] = {}
        self.states = dict(self._before)

    def take(self, answers: Iterable[RecipientAnswer]) -> None:
        """Let answers decide on those of whom it is open."""
        for one in answers:
            if self.states[one.position] in TO_REACH:
                self.states[one.position] = OF_OUTCOME[one.outcome]
                self._words[one.position] = one.words

    def put(self, position: int, state: RecipientState, words: str) -> None:
        """Put one into a state, with the words that tell why."""
        self.states[position] = state
        self._words[position] = words

    def replace(self, old: RecipientState, new: RecipientState) -> None:
        """Put all who are in one state into another."""
        self.states = {p: new if s is old else s for p, s in self.states.items()}

    def write(self) -> None:
        """Store what has changed."""
        changed = {
            p: s for p, s in self.states.items() if s is not self._before[p] or self._words.get(p)
        }
        moving.mark(self._connection, self._message_id, changed, self._words)

    def domains_to_reach(self) -> dict[str, int]:
        """The cost of those who do not have the message yet, and shall, by domain."""
        return moving.to_reach(self._rows, self.states, TO_REACH)
