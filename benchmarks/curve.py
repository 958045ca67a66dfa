"""Ten minutes at a true cadence: what arrives at the SMTP server in each half minute.

    python -m benchmarks.curve [cadence] [minutes]

Real processes with the product's own times. Not part of `python -m benchmarks`: it takes as long
as it says.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from tests.support.fleet import QUICK, Fleet
from tests.support.rows import make_account, make_company, make_message, make_task
from tests.support.services import running_services
from tests.support.sink import SinkProcess
from worker import db
from worker.core.windows import worst_window

HALF_MINUTE_US = 30_000_000


def main(cadence: int = 3000, minutes: float = 10) -> None:
    """Send at a cadence for so many minutes, and print the curve."""
    with running_services() as services, SinkProcess() as sink:
        engine = db.make_engine(services.fresh_database(), name="curve")
        with Fleet(engine, services.valkey_url()) as fleet:
            for name in QUICK:
                fleet.environment.pop(name)
            with engine.begin() as connection:
                company = make_company(connection)
                account = make_account(connection, company, port=sink.port)
                task = make_task(connection, company, account, cadence=cadence)
                for number in range(int(cadence * minutes / 60) + 200):
                    make_message(connection, task, recipients=[f"r{number}@firma.example"])
            fleet.beat()
            fleet.worker(processes=2)
            fleet.worker(processes=2)
            time.sleep(minutes * 60)
            show([entry["dot_us"] for entry in sink.journal()], cadence)
            fleet.log.unlink()
        engine.dispose()


def show(dots: list[int], cadence: int) -> None:
    """Print what arrived in each half minute, and the worst windows."""
    first = dots[0]
    bins = Counter((dot - first) // HALF_MINUTE_US for dot in dots)
    allowed = cadence * HALF_MINUTE_US / 3_600_000_000
    for number in sorted(bins):
        print(f"{number / 2:5.1f} min {bins[number]:5d}  {'#' * bins[number]}")
    print(f"a half minute of the cadence is {allowed:g}")
    span_us = dots[-1] - first
    print(f"{len(dots)} in {span_us / 1e6:.1f} s, {len(dots) / span_us * 3.6e9:.0f} an hour")
    for seconds in (1, 10, 60, 600):
        worst = worst_window([(dot, 1) for dot in dots], seconds * 1_000_000).total
        print(f"most in {seconds} s: {worst}")


if __name__ == "__main__":
    main(*(float(word) if "." in word else int(word) for word in sys.argv[1:]))
