"""The model would notice: each planted fault breaks the promise that it should."""

from __future__ import annotations

import pytest

from tests.model import books, faults
from tests.model.books import Violation
from tests.model.test_protocol import explore

QUICK = [
    (faults.confirm_before_the_dot, books.WINDOW),
    (faults.score_without_handover_max, books.WINDOW),
]
SLOW = [
    (faults.attempt_opened_at_settle, books.WINDOW),
    (faults.refund_after_mail, books.WINDOW),
    (faults.epoch_known_to_redis_alone, books.WINDOW),
    (faults.settle_without_its_guard, books.FENCE),
    (faults.claim_without_its_lease, books.FENCE),
    (faults.unknown_taken_for_not_sent, books.EVIDENCE),
]


def cases():
    for plant, promise in (*QUICK, *SLOW):
        marks = () if (plant, promise) in QUICK else (pytest.mark.slow, pytest.mark.timeout(600))
        yield pytest.param(plant, promise, id=plant.__name__.replace("_", " "), marks=marks)


@pytest.mark.parametrize(("plant", "promise"), list(cases()))
def test_the_model_finds_a_planted_fault(plant, promise, world, monkeypatch):
    plant(monkeypatch, world)

    with pytest.raises(Violation) as caught:
        explore(
            world,
            examples=400,
            steps=25,
            settles=False,
            begin=2,
            phases=[faults.GENERATE],
        )

    assert caught.value.promise == promise


def test_a_task_that_comes_before_its_row_does_no_harm(world, monkeypatch):
    faults.publish_before_commit(monkeypatch, world)

    explore(world, examples=5, steps=25, begin=2)
