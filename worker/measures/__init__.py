"""What the processes of the fleet count and time, for Prometheus.

Off by default, and then each call is one comparison with None and no library is imported.
`start` turns it on in a process. Labels are ids of configured things, or words from a closed
list: no address, no recipient's domain, no message.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import structlog

log = structlog.get_logger()

SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Upper bounds, up to the longest that the answer to a final dot is waited for."""

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus-client keeps the values of one process for another that serves them."""


@dataclass(slots=True)
class Measure:
    """One metric of a process.

    Attributes:
        name: as Prometheus sees it.
        help: what it is, in a sentence.
        labels: names of its labels.
        kind: of metric.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["counter", "histogram", "gauge"] = "counter"
    _metric: Any = field(default=None, repr=False, compare=False)

    def add(self, amount: float = 1, /, **labels: object) -> None:
        """Count something."""
        if self._metric is not None:
            self._note("inc", amount, labels)

    def observe(self, seconds: float, /, **labels: object) -> None:
        """Note how long something took."""
        if self._metric is not None:
            self._note("observe", seconds, labels)

    def set(self, value: float, /, **labels: object) -> None:
        """Say how much there is now."""
        if self._metric is not None:
            self._note("set", value, labels)

    @contextmanager
    def timing(self, **labels: object) -> Iterator[None]:
        """Note how long a block took, however it ends."""
        if self._metric is None:
            yield
            return
        began = time.monotonic()
        try:
            yield
        finally:
            self.observe(time.monotonic() - began, **labels)

    def _note(self, how: str, value: float, labels: dict[str, object]) -> None:
        """Between an answer and its settling nothing may be raised: rather measure no more."""
        try:
            getattr(self._metric.labels(**labels) if labels else self._metric, how)(value)
        except Exception as error:
            self.switch(on=False)
            log.warning("not measured any more", measure=self.name, error=type(error).__name__)

    def switch(self, on: bool) -> None:
        """Begin to measure, or stop."""
        if on and self._metric is None:
            import prometheus_client  # only where it is wanted

            kinds = {"counter": prometheus_client.Counter, "gauge": prometheus_client.Gauge}
            if self.kind == "histogram":
                made: Any = prometheus_client.Histogram(
                    self.name, self.help, self.labels, buckets=SECONDS
                )
            else:
                made = kinds[self.kind](self.name, self.help, self.labels)
            self._metric = made
        elif not on and self._metric is not None:
            import prometheus_client

            prometheus_client.REGISTRY.unregister(self._metric)
            self._metric = None


HAND_OVERS = Measure(
    "kadencia_hand_overs_total",
    "Hand-overs to an account that were answered, or may have been.",
    ("account", "channel", "outcome"),
)
SMTP_SECONDS = Measure(
    "kadencia_smtp_seconds",
    "Time for one step of an SMTP dialogue: a command with its answer.",
    ("account", "phase"),
    "histogram",
)
GATEWAY_SECONDS = Measure(
    "kadencia_gateway_seconds",
    "Time for one POST of an SMS to the gateway, with its answer.",
    ("account",),
    "histogram",
)
STEP_SECONDS = Measure(
    "kadencia_step_seconds",
    "Time for one step of sending a message: connect, claim, permit, hand-over, settle.",
    ("channel", "step"),
    "histogram",
)
CONNECTIONS = Measure(
    "kadencia_connections_total",
    "SMTP connections that were opened for a message, or used once more.",
    ("account", "how"),
)
SWEEP_SECONDS = Measure(
    "kadencia_sweep_seconds", "Time for one sweep of an automatic task.", ("task",), "histogram"
)
RELEASED = Measure(
    "kadencia_released_total", "Messages released by sweeps of an automatic task.", ("task",)
)
DATABASE_WAITS = Measure(
    "kadencia_database_waits_total", "Waits of a sending process for a database that was away."
)
CELERY_TASKS = Measure(
    "kadencia_celery_tasks_total", "Celery tasks that were run.", ("name", "outcome")
)
BEAT_TICK = Measure(
    "kadencia_beat_tick_timestamp_seconds",
    "When this beat last looked for what is due, in seconds since 1970.",
    kind="gauge",
)
HTTP_REQUESTS = Measure(
    "kadencia_http_requests_total",
    "HTTP requests by the template of their route, never by their path.",
    ("method", "route", "status"),
)
HTTP_SECONDS = Measure(
    "kadencia_http_seconds", "Time for one HTTP request.", ("method", "route"), "histogram"
)

MEASURES = (
    HAND_OVERS,
    SMTP_SECONDS,
    GATEWAY_SECONDS,
    STEP_SECONDS,
    CONNECTIONS,
    SWEEP_SECONDS,
    RELEASED,
    DATABASE_WAITS,
    CELERY_TASKS,
    BEAT_TICK,
    HTTP_REQUESTS,
    HTTP_SECONDS,
)


OCTETS = {"counter": 64 * 1024, "histogram": 1024 * 1024}
"""Chosen: some hundred counters, and the phases of thirty accounts."""


def start(directory: Path | None = None) -> None:
    """Measure in this process from now on; doing so twice is harmless.

    Args:
        directory: where values are kept for another process that serves them; None keeps them
            in memory, for this process to serve. If there is no room, nothing is measured.
    """
    if directory is not None:
        os.environ.setdefault(MULTIPROCESS_VARIABLE, str(directory))
        try:
            make_room(directory, str(os.getpid()))
        except OSError as error:
            log.warning("nothing is measured", directory=str(directory), error=error.strerror)
            return
    for one in MEASURES:
        # Several processes' gauges would have to be told apart by their numbers.
        if directory is None or one.kind != "gauge":
            one.switch(on=True)


def make_room(directory: Path, process: str) -> None:
    """Set room aside for what a process measures.

    The files are written as memory: where the disk is full, the kernel kills who writes.

    Raises:
        OSError: there is no room, or no such directory.
    """
    for kind, octets in OCTETS.items():
        with (directory / f"{kind}_{process}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, octets)


def stop() -> None:
    """Measure no more."""
    for one in MEASURES:
        one.switch(on=False)
