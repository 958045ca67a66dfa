"""Traces: one trace from the enqueue to the settling, with ids alone in it."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from sqlalchemy import text

from settings import SettingsError, load
from tests.support.kernel import make_settings, make_throttle
from tests.support.office import Office
from tests.support.rows import MadeMessage, make_message
from tests.support.shared_database import shared_engine
from tests.support.sink import SinkProcess
from tests.support.sweeping import AT_ONCE
from worker import tracing
from worker.enqueueing import Draft, enqueue
from worker.sweeps import Sweeper

pytest.importorskip("opentelemetry.sdk", reason="the extra `tracing` is not installed")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

STEPS = ["connect", "claim", "permit", "hand-over", "settle"]


class Collector:
    """A receiver of OTLP over HTTP; `octets` is all that came."""

    def __init__(self):
        self.octets = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/v1/traces"
                collector.octets += data
                collector._take(ExportTraceServiceRequest.FromString(data))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.spans, self.resources = [], []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()

    def _take(self, request):
        for of in request.resource_spans:
            self.resources.append(attributes(of.resource))
            self.spans += [span for scope in of.scope_spans for span in scope.spans]

    def named(self, name):
        return [span for span in self.spans if span.name == name]

    def close(self):
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


def attributes(of):
    return {one.key: one.value.int_value or one.value.string_value for one in of.attributes}


@pytest.fixture
def collector():
    made = Collector()
    yield made
    tracing.stop()
    made.close()


@pytest.fixture(scope="module")
def office(services):
    services.flush_valkey()
    with SinkProcess() as sink, shared_engine(services) as engine:
        throttle = make_throttle(engine, services.valkey_url(), make_settings())
        made = Office(engine, throttle, sink)
        yield made
        made.delivery.close()


def sweep_and_send(office, task):
    """Sweep a task once, and send what it released."""
    released = []

    def publish(_name, args, queue):
        released.append(args)

    settings = make_settings(**AT_ONCE)
    Sweeper(office.engine, office.throttle, settings, "main", publish).sweep(task.id, 0)
    for message, lease in released:
        office.delivery.send(message, lease)
    return [message for message, _ in released]


def draft(task, address):
    return Draft(
        company_id=task.company_id, task_id=task.id, to=[address], subject="Tajné", text="Text"
    )


def test_one_trace_leads_from_the_enqueue_to_the_settling(office, collector):
    tracing.start(make_settings(KADENCIA_OTLP_ENDPOINT=collector.url), "worker")
    task = office.task()
    with office.engine.begin() as connection:
        message = enqueue(connection, draft(task, "eva@firma.example"), office.settings).message_id

    assert sweep_and_send(office, task) == [message]
    tracing.stop()

    [start], [release], [send] = (collector.named(n) for n in ("enqueue", "release", "send"))
    assert release.parent_span_id == send.parent_span_id == start.span_id
    below = sorted(
        (s for s in collector.spans if s.parent_span_id == send.span_id),
        key=lambda span: span.start_time_unix_nano,
    )
    assert [span.name for span in below] == STEPS
    assert len({span.trace_id for span in collector.spans}) == 1
    assert attributes(send) == {"kadencia.message": message}
    assert attributes(below[-1]) == {
        "kadencia.task": task.id,
        "kadencia.account": task.account_id,
        "kadencia.outcome": "accepted",
    }
    assert {one["kadencia.process"] for one in collector.resources} == {"worker"}


def test_no_address_and_no_content_is_in_a_trace(office, collector):
    tracing.start(make_settings(KADENCIA_OTLP_ENDPOINT=collector.url), "worker")
    task = office.task()
    with office.engine.begin() as connection:
        enqueue(connection, draft(task, "eva@firma.example"), office.settings)
    with pytest.raises(ValueError, match="nobody"), tracing.span("send"):
        raise ValueError("nobody@firma.example refused it")
    sweep_and_send(office, task)
    tracing.stop()

    assert b"hand-over" in collector.octets
    for planted in (b"eva", b"nobody", b"firma.example", b"Tajn"):
        assert planted not in collector.octets


def test_a_message_that_was_enqueued_without_a_trace_is_sent_within_one(office, collector):
    task = office.task()
    with office.engine.begin() as connection:
        made = make_message(connection, task, recipients=["eva@firma.example"])
    tracing.start(make_settings(KADENCIA_OTLP_ENDPOINT=collector.url), "worker")

    assert sweep_and_send(office, task) == [made.id]
    tracing.stop()

    [send] = collector.named("send")
    assert send.parent_span_id == b""


def test_who_enqueues_by_sql_has_its_own_trace_go_on(office, collector):
    task = office.task()
    theirs = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with office.engine.begin() as connection:
        say = text("SELECT set_config('kadencia.traceparent', :theirs, true)")
        connection.execute(say, {"theirs": theirs})
        make_message(connection, task, recipients=["eva@firma.example"])
    tracing.start(make_settings(KADENCIA_OTLP_ENDPOINT=collector.url), "worker")

    sweep_and_send(office, task)
    tracing.stop()

    [send] = collector.named("send")
    assert send.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert send.parent_span_id.hex() == "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "address", ["collector:4318", "ftp://c.example", "https://eva:pa55@c.example"]
)
def test_what_is_no_address_of_a_collector_is_refused_at_the_start(address):
    with pytest.raises(SettingsError, match="KADENCIA_OTLP_ENDPOINT: it must begin") as caught:
        load({"KADENCIA_OTLP_ENDPOINT": address})

    assert "pa55" not in str(caught.value)


def test_without_a_collector_no_trace_is_made(office):
    tracing.start(load({}), "worker")
    task = office.task()
    with office.engine.begin() as connection:
        made = enqueue(connection, draft(task, "eva@firma.example"), office.settings)

    assert tracing.traceparent() is None
    assert office.row(MadeMessage(made.message_id, None)).traceparent is None


@pytest.mark.slow
def test_a_collector_that_is_away_holds_up_neither_sending_nor_the_end(office):
    tracing.start(make_settings(KADENCIA_OTLP_ENDPOINT="http://127.0.0.1:1"), "worker")
    task = office.task()
    with office.engine.begin() as connection:
        message = enqueue(connection, draft(task, "eva@firma.example"), office.settings).message_id

    began = time.monotonic()
    assert sweep_and_send(office, task) == [message]
    sent = time.monotonic()
    tracing.stop()

    assert sent - began < 5
    assert time.monotonic() - sent < 15
