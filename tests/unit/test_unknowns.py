"""Who settled an attempt without an answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from worker.core.unknowns import Decision, Settled, how_settled

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


@pytest.mark.parametrize(
    ("decision", "next_opened_at", "is_unknown", "settled"),
    [
        pytest.param(None, None, True, Settled.OPEN, id="nobody has decided"),
        pytest.param(None, NOON, False, Settled.POLICY, id="tried again and nobody signed"),
        pytest.param(None, NOON, True, Settled.POLICY, id="tried again and unknown once more"),
        pytest.param(None, None, False, Settled.POLICY, id="about to be tried again"),
        pytest.param(
            Decision("resolve as sent", NOON), None, False, Settled.PERSON, id="a person signed"
        ),
        pytest.param(
            Decision("resolve by resending", NOON), LATER, False, Settled.PERSON, id="a resend"
        ),
        pytest.param(Decision("receipt", NOON), None, False, Settled.RECEIPT, id="a receipt"),
        pytest.param(
            Decision("resolve as sent", LATER),
            NOON,
            False,
            Settled.POLICY,
            id="a person signed only after the next attempt",
        ),
    ],
)
def test_the_first_to_decide_settled_it(decision, next_opened_at, is_unknown, settled):
    assert how_settled(decision, next_opened_at, is_unknown=is_unknown) is settled
