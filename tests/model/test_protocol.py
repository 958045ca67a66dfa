"""The protocol of leases and permits, explored over the real scripts and the real SQL.

Histories of a fleet are made up by hypothesis: `machine.py` has what may happen, `world.py` how it
is done, `books.py` the promises. What runs is the product: `Delivery` and its dialogue, the
claims and settlings, the sweeps, recover and the rebuild, on a real PostgreSQL and on two real
Valkeys.

Time is planted. A function `clock_timestamp()` that stands before PostgreSQL's own in the search
path, the scripts' TIME and the processes' monotonic clock all read one number. It stands while
the product's code runs and moves on between two moves, by a millisecond or to where it
hurts: just before the last moment for a dot or an answer, just after a deadline, to the
microsecond at which a permit leaves the log. So a deadline is reached without waiting for it, a
history is the same each time it is played, and no measurement is blurred by the machine's speed.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Protocol
from tests.model.world import World


def explore(
    world: World,
    examples: int,
    steps: int,
    *,
    begin: int | None = None,
    settles: bool = True,
    **options: object,
) -> None:
    """Play histories until one breaks a promise.

    Args:
        world: where they are played.
        examples: how many.
        steps: the most moves of one.
        begin: any number; with the same one the same histories come. None: new ones each time.
        settles: see `Protocol.settles`.
        options: more of hypothesis's settings.
    """
    machine = type("Protocol", (Protocol,), {"world": world, "settles": settles})
    if begin is not None:
        machine = seed(begin)(machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


def test_no_history_breaks_a_promise(world):
    explore(world, examples=30, steps=30, begin=2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_history_of_many_breaks_a_promise(world):
    explore(world, examples=1500, steps=60, print_blob=True)
