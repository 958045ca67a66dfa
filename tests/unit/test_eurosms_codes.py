"""The table of send codes: complete, and each with one consequence."""

from __future__ import annotations

import pytest

from worker.core.eurosms_codes import (
    GRAVITY,
    OUTCOMES,
    SEND_CODES,
    WRAPPERS,
    Consequence,
    send_code,
)
from worker.core.outcomes import Outcome

DOCUMENTED = {
    "ENQUEUED": "accepted",
    "ENQUEUD": "accepted",
    "NO_IID": "pause",
    "WRONG_IID": "pause",
    "NO_SGN": "pause",
    "WRONG_SIGNATURE": "pause",
    "WRONG_KEY": "pause",
    "NO_BALANCE": "pause",
    "NO_SNDR": "sender",
    "WRONG_SENDER": "sender",
    "NO_RCPT": "reject",
    "WRONG_NUMBER": "reject",
    "NO_TXT": "reject",
    "EMPTY_MESSAGE": "reject",
    "NO_MSG": "reject",
    "MSG_TOO_LONG": "reject",
    "WRONG_SCH": "reject",
    "IM_NOT_ALLOWED": "reject",
    "IM_UNREGISTERED_SENDER": "reject",
    "IM_MSG_EMPTY": "reject",
    "IM_MSG_TOO_LONG": "reject",
    "IM_TTL_OUT_OF_RANGE": "reject",
    "TOO_MANY_MESSAGES": "split",
    "ERR_OTHER": "retry",
    "FAILED": "retry",
    "FAIL": "retry",
    "INTERNAL_ERROR": "unknown",
}


def test_every_attested_code_has_the_consequence_that_the_documents_give_it():
    assert {code: entry.consequence.value for code, entry in SEND_CODES.items()} == DOCUMENTED


def test_each_code_says_in_words_what_it_means():
    assert all(code == entry.code and entry.meaning for code, entry in SEND_CODES.items())


def test_each_consequence_has_a_weight_and_an_outcome():
    assert sorted(GRAVITY) == sorted(Consequence) == sorted(OUTCOMES)


def test_only_a_taken_sms_is_accepted_and_only_a_doubtful_one_unknown():
    accepted = [kind for kind, outcome in OUTCOMES.items() if outcome is Outcome.ACCEPTED]
    unknown = [kind for kind, outcome in OUTCOMES.items() if outcome is Outcome.UNKNOWN]

    assert accepted == [Consequence.ACCEPTED]
    assert unknown == [Consequence.UNKNOWN]


def test_the_wrappers_are_codes_themselves():
    assert set(SEND_CODES) >= WRAPPERS


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("NO_BALANCE", id="as documented"),
        pytest.param("no_balance", id="in small letters"),
        pytest.param(" No_Balance\n", id="with space around"),
    ],
)
def test_a_code_is_known_however_it_is_written(code):
    assert send_code(code) is SEND_CODES["NO_BALANCE"]


@pytest.mark.parametrize("code", ["INV_SGN", "THROTTLED", "NO BALANCE", ""])
def test_a_code_that_nobody_attests_is_not_known(code):
    assert send_code(code) is None
