"""The states of a message: where each leads, how people read it, how it is derived."""

from __future__ import annotations

from itertools import combinations

import pytest

from models.states import (
    ENDS,
    MOVES,
    OBERON,
    SLOVAK,
    MessageState,
    RecipientState,
    derive,
)

ALL_COMBINATIONS = [
    frozenset(chosen)
    for size in range(len(RecipientState) + 1)
    for chosen in combinations(RecipientState, size)
]

OF_AN_ATTEMPT = {
    RecipientState.PENDING,
    RecipientState.SENT,
    RecipientState.FAILED,
    RecipientState.UNKNOWN,
}
OF_A_RECEIPT = {RecipientState.DELIVERED, RecipientState.UNDELIVERED}
AFTER_AN_ATTEMPT = [
    some for some in ALL_COMBINATIONS if some & OF_AN_ATTEMPT and not some & OF_A_RECEIPT
]


def in_words(recipients):
    return " and ".join(sorted(recipients)) or "nobody"


def reachable(start):
    """All states to which moves lead from one, itself included."""
    found, open_ = {start}, [start]
    while open_:
        for state in MOVES[open_.pop()] - found:
            found.add(state)
            open_.append(state)
    return found


@pytest.mark.parametrize("state", MessageState)
def test_every_state_has_its_moves_and_none_to_itself(state):
    assert MOVES[state]
    assert state not in MOVES[state]


@pytest.mark.parametrize("state", MessageState)
def test_from_every_state_a_message_can_still_be_sent_and_can_end(state):
    assert reachable(state) >= {MessageState.READY, MessageState.SENT}
    assert reachable(state) & ENDS


@pytest.mark.parametrize("state", MessageState)
def test_every_state_can_be_reached_by_a_new_message(state):
    assert state in reachable(MessageState.READY)


@pytest.mark.parametrize("state", MessageState)
def test_every_state_has_a_slovak_name(state):
    assert SLOVAK[state].strip() == SLOVAK[state] != ""


def test_a_message_is_sending_only_after_it_was_released():
    leading = {state for state in MessageState if MessageState.SENDING in MOVES[state]}

    assert leading == {MessageState.RELEASED}


def test_a_message_that_was_sent_is_prepared_again_only_by_way_of_ready():
    for state in (MessageState.SENT, MessageState.DELIVERED, MessageState.UNKNOWN):
        assert not MOVES[state] & {MessageState.RELEASED, MessageState.SENDING}


@pytest.mark.parametrize("recipients", ALL_COMBINATIONS, ids=in_words)
def test_a_message_with_any_recipients_is_ended_to_be_sent_or_unknown(recipients):
    assert derive(recipients) in ENDS | {MessageState.READY, MessageState.UNKNOWN}


@pytest.mark.parametrize("recipients", AFTER_AN_ATTEMPT, ids=in_words)
def test_what_an_attempt_leaves_behind_is_a_state_to_which_a_sending_message_may_move(recipients):
    assert derive(recipients) in MOVES[MessageState.SENDING]


@pytest.mark.parametrize(
    ("recipients", "state"),
    [
        pytest.param({RecipientState.UNKNOWN, RecipientState.PENDING}, "unknown", id="doubt first"),
        pytest.param({RecipientState.PENDING, RecipientState.SENT}, "ready", id="what is to do"),
        pytest.param({RecipientState.SENT, RecipientState.FAILED}, "sent", id="who was reached"),
        pytest.param({RecipientState.FAILED, RecipientState.SUPPRESSED}, "failed", id="a failure"),
        pytest.param({RecipientState.SUPPRESSED}, "suppressed", id="nobody may be written to"),
    ],
)
def test_what_is_still_to_be_done_counts_before_what_was_reached(recipients, state):
    assert derive(recipients) == state


def test_every_state_is_one_of_the_six_that_oberon_has_for_an_sms():
    six = {"Pripravená na odoslanie", "Odoslané", "Neodosielať", "Odoslanie neúspešné"}

    assert set(OBERON) == set(MessageState)
    assert set(OBERON.values()) == six | {"Nedoručené", "Doručené"}
