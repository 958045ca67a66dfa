"""What became of the demo's messages, from the database and from what the SMTP server kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from worker.cli.demo import reminders
from worker.outbox import outcomes
from worker.smtp_sink.records import message_id

SENT = 59
EXPECTED = {"sent": SENT, "failed": 1, **reminders.EXPECTED}
"""Of 60 e-mails: all but the one whose address does not exist; and the SMS."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened.

    Attributes:
        states: how many messages are in each state.
        deferred_id: the message that was deferred once.
        kept: e-mails that the SMTP server kept.
        faults: what is not as expected, in words.
    """

    states: dict[str, int]
    deferred_id: int
    kept: int
    faults: tuple[str, ...]


def read_outcome(engine: Engine, mails: Path, sms: Path) -> Outcome:
    """Compare the servers' records with what the demo's recipients must lead to."""
    with engine.connect() as connection:
        states = outcomes.count_states(connection)
        twice = outcomes.tried_again(connection)
    kept = list(mails.glob("*.eml"))
    ids = Counter(_message_id(path) for path in kept)
    faults = list(reminders.faults(engine, sms))
    if states != EXPECTED:
        faults.append(f"states are {states}, not {EXPECTED}")
    if len(twice) != 1:
        faults.append(f"{len(twice)} messages were tried again, not 1")
    if len(ids) != SENT or max(ids.values(), default=0) > 1:
        faults.append(f"{len(kept)} e-mails of {len(ids)} Message-IDs arrived")
    return Outcome(states, twice[0] if twice else 1, len(kept), tuple(faults))


def _message_id(path: Path) -> str:
    return message_id(path.read_bytes()) or path.name
