"""The four outcomes are words that the database knows as well."""

from __future__ import annotations

from models.states import AttemptState
from worker.core.outcomes import Outcome


def test_a_closed_attempt_is_stored_under_the_word_of_its_outcome():
    closed = set(AttemptState) - {AttemptState.OPEN, AttemptState.VOID}

    assert {str(outcome) for outcome in Outcome} == {str(state) for state in closed}
