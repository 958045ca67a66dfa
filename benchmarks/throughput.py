"""Mails per second of two workers with eight processes each, at a cadence that binds nothing.

    python -m benchmarks.throughput [MESSAGES]

The burst is raised with the cadence, so that what binds is the fleet: connections, sweeps, or
the machine.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from benchmarks import fleets
from tests.support.process_table import wait_until


def main(messages: int = 5000) -> None:
    with fleets.run([8, 8], 16, KADENCIA_BURST_SECONDS="3600") as run:
        run.enqueue(messages, text="Dobrý deň.")
        began = time.time()
        run.begin()
        wait_until(lambda: run.sent() >= messages, 300)
        dots = sorted(run.dots())
        sweeps = run.log()
    seconds = dots[-1] - dots[0]
    print(f"{messages:,} mails in {seconds:.1f} s: {messages / seconds:.0f} mails/s at the sink")
    print(f"the first {dots[0] - began:.2f} s after the task was made active")
    released = [int(str(one["released"])) for one in sweeps]
    print(
        f"{len(sweeps)} sweeps, {len(sweeps) / seconds:.1f} a second, "
        f"{sum(released) / len(released):.1f} messages each"
    )
    for why, times in Counter(str(one["why"]) for one in sweeps).most_common():
        print(f"  {times:>5} ended by: {why}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
