"""From an enqueue at an idle fleet to the final dot at the SMTP server.

    python -m benchmarks.latency

A real beat and a real worker with the product's own times; messages come one at a time, at
random moments. The moment of the enqueue is that after its commit.
"""

from __future__ import annotations

import random
import statistics
import time

from benchmarks import stand
from settings import load
from tests.support.fleet import QUICK, Fleet
from tests.support.process_table import wait_until
from tests.support.rows import make_account, make_company, make_task
from tests.support.sink import SinkProcess
from worker.enqueueing import Draft, enqueue

MESSAGES = 100
PAUSE = (0.3, 1.5)
CADENCE = 10_000  # at 3,000 an hour the pace would be measured: a slot each 1.2 s


def main() -> None:
    with (
        stand.durable_services() as services,
        stand.fresh_engine(services) as engine,
        SinkProcess() as sink,
        Fleet(engine, services.valkey_url(), **dict.fromkeys(QUICK, "")) as fleet,
    ):
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_account(connection, company, port=sink.port)
            task = make_task(connection, company, account, cadence=CADENCE, cadence_ceiling=CADENCE)
        fleet.beat()
        fleet.worker(processes=4)
        settings, chance = load({}), random.Random(1)
        committed: dict[str, float] = {}
        for number in range(MESSAGES):
            time.sleep(chance.uniform(*PAUSE))
            address = f"r{number}@firma.example"
            draft = Draft(company_id=company, task_id=task.id, to=[address], subject="A", text="B")
            with engine.begin() as connection:
                enqueue(connection, draft, settings)
            committed[address] = time.time()
        wait_until(lambda: len(sink.journal()) == MESSAGES, 30)
        fleet.log.unlink()
        arrived = {next(iter(one["recipients"])): one["dot_us"] / 1e6 for one in sink.journal()}
    found = sorted(arrived[address] - at for address, at in committed.items())
    print(
        f"enqueue to final dot, {MESSAGES} messages: median {statistics.median(found):.3f} s, "
        f"p95 {found[round(MESSAGES * 0.95) - 1]:.3f} s, most {found[-1]:.3f} s"
    )


if __name__ == "__main__":
    main()
