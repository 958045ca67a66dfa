"""What an answer in SMTP means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.outcomes import Outcome
from worker.core.replies import (
    LONGEST_TEXT,
    Phase,
    classify,
    enhanced_status,
    overall,
    read,
    readable,
    slow_down,
)


@pytest.mark.parametrize(
    ("phase", "code", "outcome"),
    [
        pytest.param(Phase.RCPT, 250, Outcome.ACCEPTED, id="a recipient is taken"),
        pytest.param(Phase.RCPT, 251, Outcome.ACCEPTED, id="a recipient who moved is taken"),
        pytest.param(Phase.RCPT, 450, Outcome.DEFERRED, id="a busy mailbox waits"),
        pytest.param(Phase.RCPT, 550, Outcome.REJECTED, id="an unknown mailbox is final"),
        pytest.param(Phase.RCPT, 552, Outcome.DEFERRED, id="too many recipients waits"),
        pytest.param(Phase.MAIL, 552, Outcome.REJECTED, id="too big is final"),
        pytest.param(Phase.MAIL, 530, Outcome.DEFERRED, id="a missing log-in spares the mail"),
        pytest.param(Phase.RCPT, 354, Outcome.DEFERRED, id="go on is no answer to RCPT"),
        pytest.param(Phase.DATA, 354, Outcome.ACCEPTED, id="go on is the answer to DATA"),
        pytest.param(Phase.DATA, 250, Outcome.DEFERRED, id="OK is none to DATA"),
        pytest.param(Phase.DATA, 554, Outcome.REJECTED, id="DATA can be refused"),
        pytest.param(Phase.BODY, 250, Outcome.DEFERRED, id="OK before the dot accepts nothing"),
        pytest.param(Phase.BODY, 354, Outcome.DEFERRED, id="nor does go on, a second time"),
        pytest.param(Phase.BODY, 552, Outcome.REJECTED, id="the content can be refused half-way"),
        pytest.param(Phase.BODY, None, Outcome.DEFERRED, id="silence before the dot is certain"),
        pytest.param(Phase.DOT, 250, Outcome.ACCEPTED, id="the mail is taken"),
        pytest.param(Phase.DOT, 451, Outcome.DEFERRED, id="the mail is put off"),
        pytest.param(Phase.DOT, 421, Outcome.DEFERRED, id="a good-bye after the dot is an answer"),
        pytest.param(Phase.DOT, 554, Outcome.REJECTED, id="the mail is refused"),
        pytest.param(Phase.DOT, 354, Outcome.UNKNOWN, id="go on after the dot means nothing"),
        pytest.param(Phase.DOT, None, Outcome.UNKNOWN, id="silence after the dot is unknown"),
    ],
)
def test_an_answer_means_what_the_standard_says(phase, code, outcome):
    assert classify(phase, code) is outcome


@given(st.sampled_from(Phase), st.none() | st.integers(200, 599))
def test_only_the_final_dot_leaves_doubt_and_only_good_news_accepts(phase, code):
    outcome = classify(phase, code)

    if outcome is Outcome.UNKNOWN:
        assert phase is Phase.DOT
    if outcome is Outcome.ACCEPTED:
        assert code is not None
        assert code < 400
    if outcome is Outcome.REJECTED:
        assert code is not None
        assert code >= 500


@pytest.mark.parametrize(
    ("code", "enhanced", "slow"),
    [
        pytest.param(421, None, True, id="service not available"),
        pytest.param(452, "4.3.1", True, id="mail system full"),
        pytest.param(451, "4.3.2", True, id="not accepting messages"),
        pytest.param(550, "5.7.28", True, id="mail flood"),
        pytest.param(535, "5.7.8", True, id="the log-in no longer holds"),
        pytest.param(450, "4.2.1", False, id="one mailbox gets too much"),
        pytest.param(451, "4.7.1", False, id="greylisting"),
        pytest.param(450, None, False, id="no reason given"),
        pytest.param(250, "2.0.0", False, id="all is well"),
        pytest.param(None, None, False, id="no answer"),
    ],
)
def test_only_what_concerns_the_whole_account_slows_it_down(code, enhanced, slow):
    assert slow_down(code, enhanced) is slow


@pytest.mark.parametrize(
    ("code", "text", "enhanced"),
    [
        pytest.param(550, "5.1.1 no such user", "5.1.1", id="at the head"),
        pytest.param(250, "2.0.0", "2.0.0", id="alone"),
        pytest.param(550, "4.1.1 no such user", None, id="of another class than the code"),
        pytest.param(550, "5.1.1.9 no", None, id="a version, not a status"),
        pytest.param(550, "no 5.1.1", None, id="not at the head"),
        pytest.param(550, "5.1.1234 no", None, id="too many digits"),
        pytest.param(550, "", None, id="no words"),
    ],
)
def test_an_enhanced_status_stands_at_the_head_of_an_answer(code, text, enhanced):
    assert enhanced_status(code, text) == enhanced


def test_an_answer_of_several_lines_is_kept_on_one():
    answer = read(550, b"5.7.1 first\n5.7.1  second \xff\x00line")

    assert answer.enhanced == "5.7.1"
    assert answer.text == "5.7.1 first 5.7.1 second \ufffd line"


def test_a_server_cannot_fill_the_database_with_its_words():
    assert len(readable("x" * 100_000)) == LONGEST_TEXT


@pytest.mark.parametrize(
    ("outcomes", "together"),
    [
        ([Outcome.REJECTED, Outcome.REJECTED], Outcome.REJECTED),
        ([Outcome.REJECTED, Outcome.DEFERRED], Outcome.DEFERRED),
        ([Outcome.DEFERRED, Outcome.ACCEPTED], Outcome.ACCEPTED),
        ([Outcome.REJECTED, Outcome.UNKNOWN], Outcome.UNKNOWN),
    ],
)
def test_a_message_fares_as_the_one_recipient_who_matters_most(outcomes, together):
    assert overall(outcomes) is together
