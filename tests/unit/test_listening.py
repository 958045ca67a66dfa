"""Whether a process still takes tasks from its queues."""

from datetime import UTC, datetime, timedelta

from worker.core.listening import DEAF_SECONDS, Ear, asked, heard, is_deaf, not_asked

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_one_that_owes_no_answer_is_not_deaf_however_long_ago_it_spoke():
    assert not is_deaf(Ear(NOON), now=1e9, busy=False)


def test_the_oldest_unanswered_canary_counts_not_the_last():
    ear = asked(asked(Ear(NOON), now=0.0), now=DEAF_SECONDS)

    assert is_deaf(ear, now=DEAF_SECONDS + 1, busy=False)


def test_an_answer_clears_what_it_owes():
    ear = heard(asked(Ear(NOON), now=0.0), NOON + timedelta(seconds=1))

    assert ear == Ear(NOON + timedelta(seconds=1))


def test_no_new_answer_clears_nothing():
    ear = asked(Ear(NOON), now=0.0)

    assert heard(ear, NOON) is ear


def test_silence_proves_nothing_while_canaries_cannot_be_sent():
    ear = not_asked(asked(Ear(NOON), now=0.0))

    assert not is_deaf(ear, now=1e9, busy=False)


def test_one_with_a_hand_over_in_each_slot_is_left_alone():
    assert not is_deaf(asked(Ear(NOON), now=0.0), now=1e9, busy=True)
