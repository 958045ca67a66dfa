"""Through-put beside what people would use instead, all in one run, in turn.

    python -m benchmarks.ratios [--mails N] [--rounds N] [--only NAME …] [--json FILE]

Each round measures the product and every yardstick once, on the same servers, sink and mails,
with as many sending processes. Medians of the rounds and their ratios are printed; the JSON holds
machine, versions and every figure. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import redis

from benchmarks import fast_sink, fleets, stand, yardsticks
from benchmarks.fast_sink import FastSink
from tests.support.process_table import wait_until
from tests.support.services import Services

OCTETS = 4096
WORKERS = (4, 4)
"""Worker processes, and how many senders each has: the fastest way to use two cores."""
PATIENCE = 600
PACKAGES = ("celery", "kombu", "redis", "hiredis", "sqlalchemy", "psycopg2-binary")


@dataclass(frozen=True)
class Ground:
    """What all run on."""

    services: Services
    sink: FastSink
    mails: int


def product(ground: Ground) -> float:
    """From a backlog to everything settled, sweeps and publishing included."""
    environment = {"KADENCIA_BURST_SECONDS": "3600"}
    with fleets.on(ground.services, ground.sink.port, WORKERS, sum(WORKERS), **environment) as run:
        run.enqueue(ground.mails, text=yardsticks.letter(OCTETS).get_content())
        began = time.perf_counter()
        run.begin()
        wait_until(lambda: run.sent() >= ground.mails, PATIENCE)
        return ground.mails / (time.perf_counter() - began)


def nothing(ground: Ground) -> float:
    """(a) Celery tasks that do nothing."""
    return _celery(ground, "yardsticks.nothing")


def mail(ground: Ground) -> float:
    """(b) a Celery task with a connection of its own for each mail, and no database."""
    return _celery(ground, "yardsticks.mail")


def office(ground: Ground) -> float:
    """(c) django-post_office on the same PostgreSQL."""
    url = ground.services.empty_database()
    try:
        command = [sys.executable, "-m", "benchmarks.office", url, str(ground.sink.port)]
        command += [str(OCTETS), str(ground.mails)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(ran.stdout.split()[-1])
    finally:
        ground.services.drop_database(url)


def kept(ground: Ground) -> float:
    """(d) smtplib over one kept connection."""
    return yardsticks.one_connection(ground.sink.port, OCTETS, ground.mails)


MEASURES: dict[str, Callable[[Ground], float]] = {
    "kadencia": product,
    "(a) celery, nothing": nothing,
    "(b) celery, a connection each": mail,
    "(c) django-post_office": office,
    "(d) smtplib, one connection": kept,
}


def _celery(ground: Ground, task: str) -> float:
    url = ground.services.valkey_url(9)
    client = redis.Redis.from_url(url)
    client.flushdb()
    environment = {
        **os.environ,
        "REDIS_URL": url,
        "SINK_PORT": str(ground.sink.port),
        "OCTETS": str(OCTETS),
    }
    yardsticks.app.conf.broker_url = url
    with _workers(environment):
        _publish(task, 50)
        wait_until(lambda: int(client.get(yardsticks.DONE) or 0) >= 50, 60)
        client.delete(yardsticks.DONE)
        began = time.perf_counter()
        _publish(task, ground.mails)
        wait_until(lambda: int(client.get(yardsticks.DONE) or 0) >= ground.mails, PATIENCE)
        took = time.perf_counter() - began
    client.close()
    return ground.mails / took


def _publish(task: str, times: int) -> None:
    with yardsticks.app.connection_for_write() as connection:
        producer = yardsticks.app.amqp.Producer(connection)
        for number in range(times):
            yardsticks.app.send_task(task, (number,), producer=producer)


@contextmanager
def _workers(environment: dict[str, str]) -> Iterator[None]:
    with ExitStack() as stack:
        for number, processes in enumerate(WORKERS):
            command = [sys.executable, "-m", "celery", "-q", "-A", "benchmarks.yardsticks"]
            command += ["worker", "-P", "prefork", "-c", str(processes), "--disable-prefetch"]
            command += ["-n", f"yardstick{number}@%h", "--without-gossip", "--without-mingle"]
            worker = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(worker.wait)
            stack.callback(worker.terminate)
        yield


def machine() -> dict[str, object]:
    """What the figures are of."""
    packages = [*PACKAGES, *(["django-post-office"] if _has_django() else [])]
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "kadencia": version("kadencia"),
        **{name: version(name) for name in packages},
    }


def _has_django() -> bool:
    return importlib.util.find_spec("post_office") is not None


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ratios")
    parser.add_argument("--mails", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=None, help="what a name begins with")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(words)
    names = [
        name
        for name in MEASURES
        if chosen.only is None or any(name.strip("(").startswith(word) for word in chosen.only)
    ]
    if not _has_django():
        names = [name for name in names if "django" not in name]
        print("(c) is left out: it needs `pip install django-post_office`")
    figures: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(chosen.rounds):
        for name in names:
            with (
                stand.durable_services() as services,
                tempfile.TemporaryDirectory() as directory,
                fast_sink.running(Path(directory)) as sink,
            ):
                found = MEASURES[name](Ground(services, sink, chosen.mails))
            figures[name].append(found)
            print(f"  {name:<32} {found:8.0f}/s", flush=True)
    report(figures, chosen.mails)
    if chosen.json:
        made = {"of": machine(), "mails": chosen.mails, "octets": OCTETS, "per_second": figures}
        chosen.json.write_text(json.dumps(made, indent=1) + "\n")


def report(figures: dict[str, list[float]], mails: int) -> None:
    """Print medians and what the product is of each."""
    medians = {name: statistics.median(found) for name, found in figures.items()}
    ours = medians.get("kadencia")
    print(f"\n{mails:,} mails of {OCTETS} octets, {sum(WORKERS)} sending processes, medians")
    for name, median in medians.items():
        ratio = f"kadencia is {ours / median:.2f} of it" if ours else ""
        print(f"  {name:<32} {median:8.0f}/s  {ratio}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
