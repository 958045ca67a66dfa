"""The cadence holds for the whole fleet, and is used, counted at the SMTP server."""

from __future__ import annotations

import sys

import pytest

from tests.support.fleet import Fleet
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.sink import SinkProcess
from worker.core.windows import worst_window

pytestmark = pytest.mark.acceptance

MICROSECONDS = 1_000_000
WINDOWS = 3


@pytest.mark.parametrize(
    ("window", "cadence", "used"),
    [
        pytest.param(10, 100, 0.93, id="in a window of 10 seconds"),
        pytest.param(60, 600, 0.97, id="in a window of a minute", marks=pytest.mark.slow),
    ],
)
def test_three_workers_together_keep_the_cadence_and_use_it(
    window, cadence, used, engine, redis_url
):
    with (
        SinkProcess() as sink,
        Fleet(
            engine,
            redis_url,
            KADENCIA_WINDOW_SECONDS=str(window),
            KADENCIA_BURST_SECONDS=str(window / 10),
            KADENCIA_QUANTUM_SECONDS=str(window / 200),
        ) as fleet,
    ):
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company, port=sink.port, most_connections=8)
            task = make_task(connection, company, account, cadence=cadence)
            for number in range(cadence * WINDOWS + 100):
                make_message(connection, task, recipients=[f"r{number}@firma.example"])
        fleet.beat()
        for _ in range(3):
            fleet.worker(processes=2)

        wait_until(lambda: _lasted(sink) > WINDOWS * window * MICROSECONDS, 5 * window + 30)

        dots = [(entry["dot_us"], 1) for entry in sink.journal()]
        first = dots[0][0]
        inside = sum(at <= first + WINDOWS * window * MICROSECONDS for at, _ in dots)
        worst = worst_window(dots, window * MICROSECONDS).total
        share = inside / (WINDOWS * cadence)
        sys.stdout.write(f"worst window {worst} of {cadence}, used {share:.4f}\n")
        assert worst <= cadence
        assert inside >= used * WINDOWS * cadence


def _lasted(sink):
    dots = [entry["dot_us"] for entry in sink.journal()]
    return max(dots) - min(dots) if dots else 0
