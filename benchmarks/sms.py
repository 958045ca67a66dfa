"""10,000 SMS through one worker, against the emulator of the gateway on the same machine.

    python -m benchmarks.sms [SMS]

The cadence and the account's connections are raised so that what binds is the worker or the
machine. Before and after, a bare loop over one `requests.Session` posts to the same emulator: what
one client can do that keeps nothing, asks nobody, and does not want to know what became of it.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import requests
from cryptography.fernet import Fernet
from sqlalchemy import Engine, text

from benchmarks import stand
from benchmarks.memory import pss
from models.states import Priority
from tests.support.emulator import IID, KEY, EmulatorProcess, order
from tests.support.fleet import QUICK, Fleet
from tests.support.process_table import wait_until
from tests.support.rows import MadeTask, make_company, make_eurosms_account, make_sms_task
from worker.outbox import sms_polls
from worker.outbox.sms_inbox import NewSms, SharedSms, store_sms
from worker.vault import Vault

PROCESSES, CONNECTIONS = 4, 64
BARE = 1000
TEXT = "Vaša zásielka je pripravená na prevzatie."
SEGMENTS = 1
BATCH = 1000
FIRST = 1000
LONGEST_SECONDS = 1800

START = text("UPDATE automatic_task SET active = true WHERE id = :task")
SETTLED = text("SELECT count(*) FROM message WHERE state IN ('sent', 'delivered')")
DELIVERED = text("SELECT count(*) FROM message WHERE state = 'delivered'")


@dataclass(frozen=True, slots=True)
class Run:
    """A beat and a worker, on a task that has not begun."""

    engine: Engine
    fleet: Fleet
    emulator: EmulatorProcess
    task: MadeTask

    def enqueue(self, count: int) -> None:
        """Put SMS into the outbox."""
        now = datetime.now(UTC)
        expires_at = now + timedelta(days=1)
        shared = SharedSms(
            self.task.company_id, self.task.lane_id, Priority.NORMAL, now, expires_at
        )
        for start in range(0, count, BATCH):
            made = [_sms(number) for number in range(start, min(start + BATCH, count))]
            with self.engine.begin() as connection:
                store_sms(connection, shared, made)

    def begin(self) -> None:
        """Let the task send."""
        with self.engine.begin() as connection:
            connection.execute(START, {"task": self.task.id})

    def until(self, query: object, count: int) -> float:
        """Wait until so many are counted; the moment."""

        def counted() -> bool:
            time.sleep(0.1)  # each look takes a core for some ms, which the fleet could use
            with self.engine.connect() as connection:
                return bool(connection.execute(query).scalar_one() >= count)  # type: ignore[call-overload]

        wait_until(counted, LONGEST_SECONDS)
        return time.monotonic()


def main(count: int = 10_000) -> None:
    with _stand() as run:
        run.enqueue(count)
        before = _bare(run.emulator)
        begun, requested = time.monotonic(), _requests(run.emulator)
        run.begin()
        run.until(SETTLED, min(FIRST, count))
        first = pss(run.fleet.directory)
        settled = run.until(SETTLED, count) - begun
        last = pss(run.fleet.directory)
        delivered = run.until(DELIVERED, count) - begun
        asked = {
            name: times - requested.get(name, 0) for name, times in _requests(run.emulator).items()
        }
        after = _bare(run.emulator)
        taken = [one["at"] for one in run.emulator.written() if one["key"]]
        doubled = run.emulator.figures()["figures"]["doubled"]
        run.fleet.log.unlink(missing_ok=True)
    ratio = 2 * count / settled / (before + after)
    print(f"{count:,} SMS, {PROCESSES} sending processes; the gateway took {doubled} twice")
    print(f"settled    {settled:7.1f} s  {count / settled:6.1f} SMS/s")
    print(f"delivered  {delivered:7.1f} s  {count / delivered:6.1f} SMS/s")
    paces = [
        BATCH / (taken[end - 1] - taken[end - BATCH]) for end in range(BATCH, len(taken) + 1, BATCH)
    ]
    print(f"of each {BATCH:,}: {', '.join(f'{pace:.0f}' for pace in paces)} SMS/s")
    print(f"bare loop  before {before:.1f}, after {after:.1f} SMS/s; ratio {ratio:.2f}")
    for name, times in sorted(asked.items()):
        if times:
            print(f"requests   {name:<12} {times:6}  {times / count:.4f} for each SMS")
    for pid, (name, mb) in sorted(last.items()):
        was = f"{first[pid][1]:6.1f}" if pid in first else "   new"
        print(f"{name:<22} {was} MB after {FIRST:,}  {mb:6.1f} MB after {count:,}")


@contextmanager
def _stand() -> Iterator[Run]:
    key = Fernet.generate_key().decode()
    environment = {
        **dict.fromkeys(QUICK, ""),
        "KADENCIA_BURST_SECONDS": "3600",
        "KADENCIA_LOG_FORMAT": "json",
        "KADENCIA_KEYS": key,
    }
    with (
        stand.durable_services() as services,
        stand.fresh_engine(services) as engine,
        EmulatorProcess("--balance", "1000000", "--plain-numbers") as emulator,
        Fleet(engine, services.valkey_url(), **environment) as fleet,
    ):
        with engine.begin() as connection:
            company = make_company(connection)
            account = make_eurosms_account(
                connection,
                company,
                base_url=emulator.url,
                integration_id=IID,
                key=Vault([key]).seal(KEY),
                most_connections=CONNECTIONS,
            )
            sms_polls.ensure(connection, emulator.url, IID)
            task = make_sms_task(
                connection, company, account, active=False, cadence=100_000, cadence_ceiling=100_000
            )
        fleet.beat()
        fleet.worker(processes=PROCESSES, queues="eurosms")
        yield Run(engine, fleet, emulator, task)


def _sms(number: int) -> NewSms:
    return NewSms(
        own_key=uuid.uuid4().hex,
        number=f"+4219{number:08}",
        calling_code="+421",
        text=TEXT,
        encoding="ucs2",
        segments=SEGMENTS,
    )


def _bare(emulator: EmulatorProcess) -> float:
    """SMS a second of a loop that does nothing but post."""
    with requests.Session() as session:
        session.trust_env = False
        begun = time.monotonic()
        for number in range(BARE):
            body = order(421900000000 + number, TEXT, flgs=5)
            answer = session.post(f"{emulator.url}/api/v3/send/one", json=body, timeout=10)
            assert answer.json()["err_code"] == "ENQUEUED", answer.text
        return BARE / (time.monotonic() - begun)


def _requests(emulator: EmulatorProcess) -> dict[str, int]:
    found: dict[str, int] = emulator.figures()["requests"]
    return found


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
