"""The model would notice: each planted fault breaks the promise that it should."""

from __future__ import annotations

import pytest

from tests.model import books, faults
from tests.model.books import Violation
from tests.model.test_protocol import explore

EXAMPLES = 400


def found(world, patch, plant) -> Violation:
    """What the model says of a fault."""
    plant(patch, world)
    with pytest.raises(Violation) as caught:
        explore(world, EXAMPLES, 40, derandomize=True, phases=[faults.GENERATE])
    return caught.value


QUICK = [
    (faults.score_without_handover_max, books.WINDOW),
    (faults.confirm_before_the_dot, books.WINDOW),
    (faults.refund_after_mail, books.WINDOW),
    (faults.attempt_opened_at_settle, books.WINDOW),
    (faults.epoch_known_to_redis_alone, books.WINDOW),
    (faults.settle_without_its_guard, books.FENCE),
    (faults.claim_without_its_lease, books.FENCE),
    (faults.unknown_taken_for_not_sent, books.DOUBLED),
]


@pytest.mark.parametrize(
    ("plant", "promise"),
    [pytest.param(*one, id=one[0].__name__.replace("_", " ")) for one in QUICK],
)
def test_the_model_finds_a_fault(plant, promise, world, monkeypatch):
    violation = found(world, monkeypatch, plant)

    assert violation.promise == promise


def test_a_task_that_comes_before_its_row_does_no_harm(world, monkeypatch):
    faults.publish_before_commit(monkeypatch, world)

    explore(world, examples=20, steps=30, derandomize=True)
