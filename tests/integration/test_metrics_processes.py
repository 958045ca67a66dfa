"""What the processes of a fleet count and time."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.support.kernel import make_settings, make_throttle
from tests.support.office import Office
from tests.support.shared_database import shared_engine
from tests.support.sink import SinkProcess
from worker import measures
from worker.cli.measuring import measured_processes
from worker.delivery.steps import Step
from worker.measures import HAND_OVERS, MEASURES, SMTP_SECONDS
from worker.measures.http import Measured
from worker.metrics.processes import Children

COUNTS = """
import pathlib, sys
from worker import measures
measures.start(pathlib.Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    measures.HAND_OVERS.add(account=3, channel="email", outcome="accepted")
    measures.SMTP_SECONDS.observe(0.2, account=3, phase="dot")
"""


@pytest.fixture
def measuring():
    measures.start()
    yield
    measures.stop()


def counting_process(directory, times):
    environment = {**os.environ, measures.MULTIPROCESS_VARIABLE: str(directory)}
    command = [sys.executable, "-c", COUNTS, str(directory), str(times)]
    subprocess.run(command, check=True, env=environment)


def told(directory):
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Children(directory))
    return generate_latest(registry).decode().splitlines()


def test_what_processes_counted_that_have_ended_stays_counted_and_their_files_go(tmp_path):
    counting_process(tmp_path, 2)
    first = told(tmp_path)
    counting_process(tmp_path, 3)
    second = told(tmp_path)

    counted = 'kadencia_hand_overs_total{account="3",channel="email",outcome="accepted"}'
    assert f"{counted} 2.0" in first
    assert f"{counted} 5.0" in second
    assert 'kadencia_smtp_seconds_bucket{account="3",le="0.25",phase="dot"} 5.0' in second
    assert 'kadencia_smtp_seconds_count{account="3",phase="dot"} 5.0' in second
    assert second == told(tmp_path)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["counter_ended.db", "histogram_ended.db"]


def test_what_cannot_be_measured_is_not_and_nothing_is_raised(measuring):
    HAND_OVERS.add(account=1)
    HAND_OVERS.add(account=1, channel="email", outcome="accepted")
    measures.start(Path("/nowhere"))

    labels = {"account": "1", "channel": "email", "outcome": "accepted"}
    assert value("kadencia_hand_overs_total", **labels) is None


def test_a_worker_removes_what_killed_ones_left_and_nothing_else(tmp_path):
    left = tmp_path / "kadencia-metrics-left"
    left.mkdir()
    (left / "lock").touch()

    with (
        measured_processes("127.0.0.1", 0, tmp_path) as first,
        measured_processes("127.0.0.1", 0, tmp_path) as second,
    ):
        places = {Path(one["KADENCIA_METRICS_DIRECTORY"]) for one in (first, second)}
        assert set(tmp_path.iterdir()) == places

    assert list(tmp_path.iterdir()) == []


def test_a_process_that_nobody_asked_to_measure_imports_no_library_for_it():
    code = """import sys, worker.process
sys.exit(not {"prometheus_client", "opentelemetry.sdk.trace"}.isdisjoint(sys.modules))"""

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.fixture(scope="module")
def office(services):
    services.flush_valkey()
    with SinkProcess(faults=["defer:later@*"]) as sink, shared_engine(services) as engine:
        throttle = make_throttle(engine, services.valkey_url(), make_settings())
        made = Office(engine, throttle, sink)
        yield made
        made.delivery.close()


def test_a_hand_over_is_counted_and_each_phase_and_step_of_it_timed(office, measuring):
    task = office.task()
    office.send(office.released(task))
    office.send(office.released(task, to=["later@firma.example"]))

    account = {"account": str(task.account_id)}
    assert value("kadencia_hand_overs_total", **account, channel="email", outcome="accepted") == 1
    assert value("kadencia_hand_overs_total", **account, channel="email", outcome="deferred") == 1
    assert value("kadencia_connections_total", **account, how="opened") == 1
    assert value("kadencia_connections_total", **account, how="reused") == 1
    times = {"connect": 1, "ehlo": 1, "mail": 2, "rcpt": 2, "data": 1, "dot": 1}
    for phase, number in times.items():
        assert value("kadencia_smtp_seconds_count", **account, phase=phase) == number
    for step in Step:
        assert value("kadencia_step_seconds_count", channel="email", step=step.value) == 2


def test_sending_to_many_domains_adds_no_series_and_tells_no_address(office, measuring):
    task = office.task()
    office.send(office.released(task, to=["anna@prva.example"]))
    office.send(office.released(task, to=["anna@prva.example"]))
    before = series()

    for number in range(20):
        office.send(office.released(task, to=[f"eva{number}@firma{number}.example"]))

    assert series() == before
    assert not any("@" in line or "firma" in line for line in before)


def test_nothing_is_counted_before_the_start():
    HAND_OVERS.add(account=1, channel="email", outcome="accepted")
    with SMTP_SECONDS.timing(account=1, phase="dot"):
        pass

    labels = {"account": "1", "channel": "email", "outcome": "accepted"}
    assert value("kadencia_hand_overs_total", **labels) is None


def request(app, path, method="GET"):
    """The statuses with which an ASGI application answers one request."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    asyncio.run(app(scope, receive, send))
    return [message["status"] for message in sent if "status" in message]


def test_a_request_is_told_by_its_route_and_never_by_its_path(measuring):
    async def respond(_request):
        return PlainTextResponse("ok")

    app = Measured(Starlette(routes=[Route("/eurosms/{secret}", respond)]))

    assert request(app, "/eurosms/tajna-cesta") == [200]
    assert request(app, "/wp-admin", method="PROPFIND") == [404]

    taken = {"method": "GET", "route": "/eurosms/{secret}", "status": "200"}
    unknown = {"method": "other", "route": "none", "status": "404"}
    assert value("kadencia_http_requests_total", **taken) == 1
    assert value("kadencia_http_requests_total", **unknown) == 1
    assert not any("tajna" in line or "wp-admin" in line for line in series())


def test_every_measure_has_a_fitting_name():
    for one in MEASURES:
        assert one.name.endswith("_total") == (one.kind == "counter")
        assert one.name.endswith("_seconds") == (one.kind in ("histogram", "gauge"))
    assert len({one.name for one in MEASURES}) == len(MEASURES)


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


def series():
    """Every series of the product, without its value."""
    lines = generate_latest().decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if line.startswith("kadencia_")}
